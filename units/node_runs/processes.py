"""The processes of a service or a profile: their output is fetched, and the run ends when all have ended."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from units.errors import UnitError
from units.job import Handle, Outcome
from units.node_runs import tail
from units.node_runs.multi_tail import MultiTail, Source
from units.node_runs.tail import Followed
from units.nodes.allocation import Allocation, NodeShare, Seat
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.scripts import script

# Seconds: the pause before a full disk is retried, and the timeouts for stopping and for an answer.
_AGAIN, _HALT_WITHIN, _ANSWER_WITHIN = 1.0, 20.0, 10.0
# The exit code of the script `lead` when the web process does not answer.
_SILENT = 3


@dataclass
class NodeProcesses:
    """The processes of one run while it lasts. `to` returns the link to a node by its name."""

    handle: Handle
    allocation: Allocation
    to: Callable[[str], Link]
    over: threading.Event = field(default_factory=threading.Event)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ends: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pieces = MultiTail(self.handle.output)

    def begin(self, ended: Callable[[Outcome], None]) -> None:
        """Follow each process in a thread until `over`. After the last end, call `ended` with the outcome."""
        # All threads are registered before one starts: `_has_ended` compares with their number.
        for node, seat in self.allocation.seats():
            words = (self._followed(self.to(node), seat), ended)
            self._threads[seat.process] = threading.Thread(target=self._follow, args=words, daemon=True)
        for thread in self._threads.values():
            thread.start()

    def _followed(self, link: Link, seat: Seat) -> Followed:
        folder = f"{self.allocation.folder}/processes/{seat.process}"
        return Followed(link, folder, f"{seat.unit}.service", Source(self._pieces, seat.process))

    def _follow(self, followed: Followed, ended: Callable[[Outcome], None]) -> None:
        while not self.over.is_set():
            try:
                end = tail.follow(followed, self.over.is_set)
            except OSError:  # the disk here is full: the output stays on the node until there is room
                self.over.wait(_AGAIN)
                continue
            if end:
                self._has_ended(end.outcome(self.allocation.timeout, followed.link.login.host), ended)
            return

    def _has_ended(self, outcome: Outcome, ended: Callable[[Outcome], None]) -> None:
        """Note a process's end. After the last, report the run: the first failure, else the last outcome."""
        with self._lock:
            self._ends.append(outcome)
            if len(self._ends) == len(self._threads):
                ended(next((end for end in self._ends if end.exit_code), outcome))

    def halt(self, nodes: list[Node], links: Links) -> None:
        """Stop the processes on the nodes that answer, and fetch the rest of their output."""
        self.over.set()
        shares = {share.node: share for share in self.allocation.shares}

        def halt(node: Node, link: Link) -> None:
            link.run(script("halt", self.allocation.folder, *_units(shares[node.name])), within=_HALT_WITHIN)

        answers = links.each(nodes, halt)
        for node, seat in self.allocation.seats():
            if node in answers and not isinstance(answers[node], UnitError) and self._is_let_go(seat):
                with contextlib.suppress(UnitError):
                    tail.last(self._followed(self.to(node), seat))

    def _is_let_go(self, seat: Seat) -> bool:
        """Wait for the process's follower, and return whether it ended: two would keep the output twice."""
        thread = self._threads.get(seat.process)
        if thread:
            thread.join(_HALT_WITHIN)
        return not (thread and thread.is_alive())


def _units(share: NodeShare) -> list[str]:
    return [f"{seat.unit}.service" for seat in share.seats]


def lead(link: Link, node: str, folder: str, port: int) -> bool:
    """Redirect the node's `port` to a run's web process if that answers, and return whether it does.

    Raise UnitError when the node answers but cannot redirect the port.
    """
    try:
        done = link.run(("sh", f"{folder}/lead", "first"), within=_ANSWER_WITHIN)
    except UnitError:
        return False
    if done.code not in (0, _SILENT):
        hint = "nodes that have services need: apt-get install iptables"
        raise UnitError(f"the node {node} cannot open port {port}: {done.last}", hint)
    return done.code == 0
