"""Pack needs of several sizes into places: an exact search, for cases where placing one by one can fail.

Example: two places with four and six free slots hold 3, 3, 2 and 2, but not once a 3 is in the place of four.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from units.placement.capacity import Need

# A place's name, free slots and free bytes.
Place = tuple[str, int, int]
Counts = tuple[int, ...]
# How many of each kind went to a place, and the way that led to it.
_Way = tuple[str, Counts, "_Way"] | None


def arrange(places: Sequence[Place], kinds: Mapping[Need, int]) -> dict[Need, list[str]] | None:
    """Return the places of each kind's needs, one name for each need; None when they cannot all fit.

    `kinds` has the number of needs of each kind. The search goes from place to place. Of all ways that leave
    the same numbers of the other kinds to be placed, it keeps one with the fewest left of the smallest kind.
    """
    needs = sorted(kinds, key=lambda need: (-need.slots, -need.memory))
    *others, smallest = needs
    if not _may_fit(places, kinds):
        return None
    ways: dict[Counts, tuple[int, _Way]] = {tuple(kinds[need] for need in others): (kinds[smallest], None)}
    done = (0,) * len(others)
    for name, slots, memory in places:
        if slots < smallest.slots:
            continue
        for left, (least, way) in list(ways.items()):
            for counts, more_slots, more_memory in _fillings(others, left, slots, memory):
                last = min(least, held(smallest, more_slots, more_memory))
                after = tuple(was - went for was, went in zip(left, counts, strict=True))
                if after not in ways or least - last < ways[after][0]:
                    ways[after] = (least - last, (name, (*counts, last), way))
        if done in ways and ways[done][0] == 0:
            return _told(needs, ways[done][1])
    return None


def _may_fit(places: Sequence[Place], kinds: Mapping[Need, int]) -> bool:
    """Return whether all would fit if each were as small as the smallest. Most misfits fail this check."""
    least = Need(min(need.slots for need in kinds), min(need.memory for need in kinds))
    return sum(held(least, slots, memory) for _, slots, memory in places) >= sum(kinds.values())


def _fillings(
    needs: Sequence[Need], most: Sequence[int], slots: int, memory: int
) -> Iterator[tuple[Counts, int, int]]:
    """Yield every choice of how many of each need go into one place, with the slots and bytes left free."""
    if not needs:
        yield (), slots, memory
        return
    need = needs[0]
    for count in range(min(most[0], held(need, slots, memory)) + 1):
        left = slots - count * need.slots, memory - count * need.memory
        for counts, slots_left, memory_left in _fillings(needs[1:], most[1:], *left):
            yield (count, *counts), slots_left, memory_left


def held(need: Need, slots: int, memory: int) -> int:
    """Return how many such needs fit into this many slots and bytes."""
    by_slots = slots // need.slots
    return min(by_slots, memory // need.memory) if need.memory else by_slots


def _told(needs: Sequence[Need], way: _Way) -> dict[Need, list[str]]:
    found: dict[Need, list[str]] = {need: [] for need in needs}
    while way is not None:
        name, counts, way = way
        for need, count in zip(needs, counts, strict=True):
            found[need].extend([name] * count)
    return found
