"""Track the free slots and memory of the nodes, and find the node that fits a need fast.

Nodes are kept on shelves by their number of free slots, and on a shelf by their free memory: the tightest
node for a need is the first one that a bisection of the next shelf finds.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

# The free memory of a node that reports none: so large that what is taken of it makes no difference.
_UNTOLD = sys.maxsize

# Nodes with the same number of free slots: free bytes, and the node's place in the order of nodes.
_Shelf = list[tuple[int, int]]


@dataclass(frozen=True)
class Offer:
    """What a machine offers: `memory` in bytes (None: unknown, not counted), `arch` as images name it.

    `closed` is the reason why a node takes nothing new, such as `drained`; "" for an open node. What runs on
    a closed node stays there.
    """

    name: str
    slots: int
    memory: int | None = None
    arch: str = "amd64"
    closed: str = ""


@dataclass(frozen=True)
class Need:
    """What one slave, or a service's process, takes on its node: slots, and bytes when it has a limit."""

    slots: int
    memory: int = 0


@dataclass(frozen=True)
class Use:
    """A need with its node."""

    node: str
    need: Need


class Room:
    """Free slots and memory of the open nodes, in the nodes' order. Uses on other nodes do not count.

    A node that is overcommitted, as after it was made smaller, counts as one with no free slots.
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
        """Return a copy to try placements with. It shares the nodes, not the free slots and memory."""
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
        """Lower a node's free slots and bytes to at most these."""
        at = self._order[name]
        self._change(name, min(0, slots - self._slots[at]), min(0, memory - self._memory[at]))

    def left(self, name: str) -> tuple[int, int]:
        """Return the free slots and bytes of an open node."""
        at = self._order[name]
        return max(0, self._slots[at]), max(0, self._memory[at])

    def free(self, arch: str) -> int:
        """Return the free slots of all nodes of an architecture."""
        return self._free.get(arch, 0)

    def may_hold(self, count: int, slots: int, arch: str) -> bool:
        """Return whether `count` slaves of `slots` slots each could be placed, ignoring memory."""
        shelves = self._shelves.get(arch, [])
        for free in range(len(shelves) - 1, slots - 1, -1):
            count -= len(shelves[free]) * (free // slots)
            if count <= 0:
                return True
        return False

    def tightest(self, need: Need, arch: str) -> str | None:
        """Return the fitting node with the fewest free slots, then the least memory, then the first."""
        shelves = self._shelves.get(arch, [])
        for slots in range(need.slots, len(shelves)):
            shelf = shelves[slots]
            if shelf and (found := bisect_left(shelf, (need.memory, -1))) < len(shelf):
                return self.nodes[shelf[found][1]].name
        return None

    def emptiest(self, need: Need, arch: str) -> str | None:
        """Return the fitting node with the most free slots, then the most memory, then the first."""
        shelves = self._shelves.get(arch, [])
        for slots in range(len(shelves) - 1, need.slots - 1, -1):
            shelf = shelves[slots]
            if shelf and shelf[-1][0] >= need.memory:
                return self.nodes[shelf[bisect_left(shelf, (shelf[-1][0], -1))][1]].name
        return None

    def first(self, need: Need, arch: str) -> str | None:
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
