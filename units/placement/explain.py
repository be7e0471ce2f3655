"""Say in a sentence why an ask gets no nodes: never (shown on a push), or not now (shown in the queue)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from units.placement.capacity import Offer, Room, Use
from units.placement.place import Ask, Policy, Ranks, place, sizes

# At most this many nodes are listed one by one.
_TOLD = 6
_LETTERS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def never_fits(ask: Ask | Ranks, nodes: Sequence[Offer]) -> str:
    """Return what is missing even if nothing ran and all nodes were open; empty when there is enough."""
    all_open = [replace(node, closed="") for node in nodes]
    empty = Room(all_open)
    if place(ask, empty, Policy.PACK) is not None:
        return ""
    usable = [node for node in all_open if node.arch == ask.arch]
    if not usable:
        return f"needs {_asked(ask)}; {_no_node(ask, nodes)}"
    missing = _too_large(ask, usable) or _too_many(ask, usable)
    return f"needs {_asked(ask)}; {missing or 'the nodes have ' + _told(ask, usable, empty)}"


def why_not(ask: Ask | Ranks, nodes: Sequence[Offer], uses: Iterable[Use] = ()) -> str:
    """Return what the ask needs and what is free; empty when it could start now."""
    room = Room(nodes, uses)
    if place(ask, room, Policy.PACK) is not None:
        return ""
    usable = [node for node in nodes if node.arch == ask.arch]
    return f"needs {_asked(ask)}; {'free: ' + _told(ask, usable, room) if usable else _no_node(ask, nodes)}"


def size(number: int) -> str:
    """Return bytes as a manifest writes them, such as `512M`, with one decimal if that is not 0."""
    for unit, letter in _LETTERS:
        if number >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + letter
    return str(number)


def _asked(ask: Ask | Ranks) -> str:
    """Return `8 slots with 2G`, `3 slaves of 8 slots with 2G each` or `4 slaves of 2 to 3 slots`."""
    memory = _memory(ask)
    if isinstance(ask, Ranks):
        each = f" ({ask.cpus_per_rank} a rank)" if ask.cpus_per_rank > 1 else ""
        return _slots(ask.slots) + each + (f" with {size(memory)} a slave" if memory else "")
    with_memory = f" with {size(memory)}" if memory else ""
    if len(ask.needs) == 1:
        return _slots(ask.slots) + with_memory
    least, most = min(need.slots for need in ask.needs), max(need.slots for need in ask.needs)
    span = _slots(most) if least == most else f"{least} to {_slots(most)}"
    return f"{len(ask.needs)} {ask.noun} of {span}{with_memory and with_memory + ' each'}"


def _no_node(ask: Ask | Ranks, nodes: Sequence[Offer]) -> str:
    if not nodes:
        return "there are no nodes"
    return f"no node is {ask.arch}, as its image is: " + _list([f"{node.name} {node.arch}" for node in nodes])


def _too_large(ask: Ask | Ranks, nodes: Sequence[Offer]) -> str:
    for need in sizes(ask):
        roomy = [node for node in nodes if node.slots >= need.slots]
        if not roomy:
            largest = max(nodes, key=lambda node: node.slots)
            return f"the largest node, {largest.name}, has {largest.slots}"
        told = [node.memory for node in roomy if node.memory is not None]
        if len(told) == len(roomy) and max(told) < need.memory:
            most = roomy[told.index(max(told))]
            return f"of nodes with {_slots(need.slots)}, {most.name} has the most memory: {size(max(told))}"
    return ""


def _too_many(ask: Ask | Ranks, nodes: Sequence[Offer]) -> str:
    offered = sum(node.slots for node in nodes)
    if offered >= ask.slots:
        return ""
    together = (
        f"the {len(nodes)} nodes have {offered} in all"
        if len(nodes) > 1
        else f"{nodes[0].name} has {offered}"
    )
    return (
        f"{together}, and it takes {ask.slots}" if isinstance(ask, Ask) and len(ask.needs) > 1 else together
    )


def _told(ask: Ask | Ranks, nodes: Sequence[Offer], room: Room) -> str:
    """Return a list such as `node1 4 with 1G, node2 drained`, with memory if the ask needs some."""
    return _list([_left(node, room, bool(_memory(ask))) for node in nodes])


def _left(node: Offer, room: Room, with_memory: bool) -> str:
    if node.closed:
        return f"{node.name} {node.closed}"
    slots, memory = room.left(node.name)
    return f"{node.name} {slots}" + (
        f" with {size(memory)}" if with_memory and node.memory is not None else ""
    )


def _list(told: Sequence[str]) -> str:
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return ", ".join(told[:_TOLD]) + more


def _memory(ask: Ask | Ranks) -> int:
    return max(need.memory for need in sizes(ask))


def _slots(count: int) -> str:
    return f"{count} slot" if count == 1 else f"{count} slots"
