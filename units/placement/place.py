"""Choose a node for each slave of a job from the nodes' free slots and memory. All or nothing.

In: an ask and a `capacity.Room`. Out: a `Placement`, the same for the same input. Nothing is touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from units.placement.bin_packing import arrange
from units.placement.capacity import Need, Offer, Room, Use

# A node for each slave, in slave order.
Placement = tuple[Use, ...]


class Policy(Enum):
    """`pack` takes the node with the least left over (best fit), `spread` the one with the most free.

    First fit is the baseline that the two are measured against.
    """

    PACK = "pack"
    SPREAD = "spread"
    FIRST_FIT = "first fit"


@dataclass(frozen=True)
class Ask:
    """The needs of a job's slaves, or of a service's processes, in order; `arch` is the image's architecture.

    `noun` is the word for them in sentences.
    """

    needs: tuple[Need, ...]
    arch: str = "amd64"
    noun: str = "slaves"

    @cached_property
    def slots(self) -> int:
        return sum(need.slots for need in self.needs)

    @cached_property
    def least(self) -> int:
        """The slots of the smallest need."""
        return min(need.slots for need in self.needs)

    @cached_property
    def largest_first(self) -> tuple[int, ...]:
        """The indexes of the needs, the largest first."""
        by_size = sorted(enumerate(self.needs), key=lambda pair: (-pair[1].slots, -pair[1].memory))
        return tuple(index for index, _ in by_size)


@dataclass(frozen=True)
class Ranks:
    """`np` ranks in as few slaves as the free room allows. `memory` is that of each slave, in bytes."""

    np: int
    cpus_per_rank: int = 1
    memory: int = 0
    arch: str = "amd64"

    @property
    def slots(self) -> int:
        return self.np * self.cpus_per_rank


def place(ask: Ask | Ranks, room: Room, policy: Policy) -> Placement | None:
    """Return a node for each slave, or None when they do not all fit at once. `room` is left unchanged.

    A placement is found whenever one exists, if necessary one that does not follow the policy.
    """
    if ask.slots > room.free(ask.arch):
        return None
    if isinstance(ask, Ranks):
        return _fewest_slaves(ask, room, policy)
    if not ask.needs:
        return ()
    if not room.may_hold(len(ask.needs), ask.least, ask.arch):
        return None
    return _one_by_one(ask, room, policy) or _in_any_way(ask, room)


def sizes(ask: Ask | Ranks) -> tuple[Need, ...]:
    """Return the distinct needs of an ask, the largest first; for `Ranks`, what a single rank takes."""
    if isinstance(ask, Ranks):
        return (_ranks_need(ask, 1),)
    return tuple(dict.fromkeys(ask.needs[index] for index in ask.largest_first))


_Find = Callable[[Room, Need, str], "str | None"]
_FIND: dict[Policy, _Find] = {
    Policy.PACK: Room.tightest,
    Policy.SPREAD: Room.emptiest,
    Policy.FIRST_FIT: Room.first,
}


def _one_by_one(ask: Ask, room: Room, policy: Policy) -> Placement | None:
    """Place the needs in order, the largest first, each where the policy puts it."""
    find = _FIND[policy]
    taken: dict[int, Use] = {}
    try:
        for index in ask.largest_first:
            node = find(room, ask.needs[index], ask.arch)
            if node is None:
                return None
            taken[index] = Use(node, ask.needs[index])
            room.take(taken[index])
        return tuple(taken[index] for index in range(len(ask.needs)))
    finally:
        for use in taken.values():
            room.give_back(use)


def _in_any_way(ask: Ask, room: Room) -> Placement | None:
    """Search for any placement of unequal needs, which can block each other when placed one by one.

    Needs of equal size fit one by one or not at all: None for those.
    """
    if ask.needs.count(ask.needs[0]) == len(ask.needs):
        return None
    kinds = Counter(ask.needs)
    places = [(node.name, *room.left(node.name)) for node in room.nodes if node.arch == ask.arch]
    found = arrange(places, kinds)
    if found is None:
        return None
    waiting = {need: iter(nodes) for need, nodes in found.items()}
    return tuple(Use(next(waiting[need]), need) for need in ask.needs)


def _fewest_slaves(ask: Ranks, room: Room, policy: Policy) -> Placement | None:
    """Give each node an even share of the ranks if the nodes allow it, else what each of them can hold."""
    roomiest = _roomiest(ask, room)
    if roomiest is None:
        return None
    share, more = divmod(ask.np, len(roomiest))
    even = (share + 1,) * more + (share,) * (len(roomiest) - more)
    needs = tuple(_ranks_need(ask, ranks) for ranks in even)
    if placement := _one_by_one(Ask(needs, ask.arch), room, policy):
        return placement
    return tuple(Use(node, _ranks_need(ask, ranks)) for node, ranks in _levelled(roomiest, ask.np))


def _ranks_need(ask: Ranks, ranks: int) -> Need:
    return Need(ranks * ask.cpus_per_rank, ask.memory)


def _roomiest(ask: Ranks, room: Room) -> list[tuple[str, int]] | None:
    """Return the fewest nodes that hold all ranks, with the ranks each could hold, most first."""
    could = [(node.name, _ranks_held(ask, room, node)) for node in room.nodes if node.arch == ask.arch]
    chosen: list[tuple[str, int]] = []
    missing = ask.np
    for node, ranks in sorted(could, key=lambda pair: -pair[1]):
        chosen.append((node, ranks))
        missing -= ranks
        if missing <= 0:
            return chosen
    return None


def _ranks_held(ask: Ranks, room: Room, node: Offer) -> int:
    slots, memory = room.left(node.name)
    return slots // ask.cpus_per_rank if memory >= ask.memory else 0


def _levelled(roomiest: list[tuple[str, int]], np: int) -> list[tuple[str, int]]:
    """Distribute `np` ranks over these nodes, the roomiest first, as evenly as their capacity allows."""
    shares = []
    for left, (node, most) in zip(range(len(roomiest), 0, -1), reversed(roomiest), strict=True):
        shares.append((node, min(most, np // left)))
        np -= shares[-1][1]
    return shares[::-1]
