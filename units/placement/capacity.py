"""What is free on the nodes, and the node that fits a need, found fast.

Nodes are kept by their free slots, and those with the same number by their free memory: the tightest
node for a need is the first that a bisection of the next shelf gives.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

# Of a node that does not tell its memory; what is taken of it cannot be felt.
_UNTOLD = sys.maxsize

# Nodes with the same number of free slots: free bytes, and the node's place in the order of nodes.
_Shelf = list[tuple[int, int]]


@dataclass(frozen=True)
class Offer:
    """What a machine offers: `memory` in bytes (None: not told, not counted), `arch` as images say it.

    One that is `closed` for a reason, such as `drained`, keeps what runs there and gets nothing new.
    """

    name: str
    slots: int
    memory: int | None = None
    arch: str = "amd64"
    closed: str = ""


@dataclass(frozen=True)
class Need:
    """What one slave, or a service's process, takes on its node: slots, and bytes where it has a limit."""

    slots: int
    memory: int = 0


@dataclass(frozen=True)
class Use:
    """A need that has a node."""

    node: str
    need: Need


class Room:
    """Free slots and memory of the open nodes, in the nodes' order. What others use does not count.

    Slots that are used twice over, as after a node was made smaller, are no free ones.
    """

    def __init__(self, nodes: Iterable[Offer], uses: Iterable[Use] = ()) -> None:
        self.nodes = tuple(node for node in nodes if not node.closed)
        self._order = {node.name: at for at, node in enumerate(self.nodes)}
        self._slots = [node.slots for node in self.nodes]
        self._memory = [_UNTOLD if node.memory is None else node.memory for node in self.nodes]
        for use in uses:
            if (at := self._order.get(use.node)) is not None:
                self._slots[at] -= use.need.slots
                self._memory[at] -= use.need.memory
        self._free = {node.arch: 0 for node in self.nodes}
        self._shelves: dict[str, list[_Shelf]] = {arch: [] for arch in self._free}
        for arch, shelves in self._shelves.items():
            most = max(node.slots for node in self.nodes if node.arch == arch)
            shelves.extend([] for _ in range(most + 1))
        for at in range(len(self.nodes)):
            self._put(at)

    def copy(self) -> Room:
        """One to try things with; nodes are shared, what is free is not."""
        made = Room.__new__(Room)
        made.nodes, made._order = self.nodes, self._order
        made._slots, made._memory, made._free = self._slots.copy(), self._memory.copy(), self._free.copy()
        made._shelves = {arch: [shelf.copy() for shelf in all_] for arch, all_ in self._shelves.items()}
        return made

    def take(self, use: Use) -> None:
        self._change(use.node, -use.need.slots, -use.need.memory)

    def give_back(self, use: Use) -> None:
        self._change(use.node, use.need.slots, use.need.memory)

    def limit(self, name: str, slots: int, memory: int) -> None:
        """Have no more than this free on a node."""
        at = self._order[name]
        self._change(name, min(0, slots - self._slots[at]), min(0, memory - self._memory[at]))

    def left(self, name: str) -> tuple[int, int]:
        """Free slots and bytes of an open node."""
        at = self._order[name]
        return max(0, self._slots[at]), max(0, self._memory[at])

    def free(self, arch: str) -> int:
        """Slots on all the nodes of an architecture."""
        return self._free.get(arch, 0)

    def may_hold(self, count: int, slots: int, arch: str) -> bool:
        """Whether so many slaves of so many slots each could be placed, memory apart."""
        shelves = self._shelves.get(arch, [])
        for free in range(len(shelves) - 1, slots - 1, -1):
            count -= len(shelves[free]) * (free // slots)
            if count <= 0:
                return True
        return False

    def tightest(self, need: Need, arch: str) -> str | None:
        """The node that has the least slots left over, then the least memory, then comes first."""
        shelves = self._shelves.get(arch, [])
        for slots in range(need.slots, len(shelves)):
            shelf = shelves[slots]
            if shelf and (found := bisect_left(shelf, (need.memory, -1))) < len(shelf):
                return self.nodes[shelf[found][1]].name
        return None

    def emptiest(self, need: Need, arch: str) -> str | None:
        """The node that fits with the most free slots, then the most memory, then comes first."""
        shelves = self._shelves.get(arch, [])
        for slots in range(len(shelves) - 1, need.slots - 1, -1):
            shelf = shelves[slots]
            if shelf and shelf[-1][0] >= need.memory:
                return self.nodes[shelf[bisect_left(shelf, (shelf[-1][0], -1))][1]].name
        return None

    def first(self, need: Need, arch: str) -> str | None:
        """The first node that fits."""
        for at, node in enumerate(self.nodes):
            fits = self._slots[at] >= need.slots and self._memory[at] >= need.memory
            if fits and node.arch == arch:
                return node.name
        return None

    def _change(self, name: str, slots: int, memory: int) -> None:
        at = self._order.get(name)
        if at is None or not (slots or memory):
            return
        shelf = self._shelf(at)
        del shelf[bisect_left(shelf, (self._memory[at], at))]
        self._free[self.nodes[at].arch] -= max(0, self._slots[at])
        self._slots[at] += slots
        self._memory[at] += memory
        self._put(at)

    def _put(self, at: int) -> None:
        insort(self._shelf(at), (self._memory[at], at))
        self._free[self.nodes[at].arch] += max(0, self._slots[at])

    def _shelf(self, at: int) -> _Shelf:
        return self._shelves[self.nodes[at].arch][max(0, self._slots[at])]
