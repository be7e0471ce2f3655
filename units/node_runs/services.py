"""The runs of processes (services and profiles) that this receiver follows, by their folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from units.job import Handle, Outcome
from units.node_runs.processes import NodeProcesses
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node


class Services:
    """The followed runs. `to` returns the link to a node by its name."""

    def __init__(self, to: Callable[[str], Link]) -> None:
        self._to = to
        self._followed: dict[Path, NodeProcesses] = {}

    def follow(self, handle: Handle, allocation: Allocation, ended: Callable[[Outcome], None]) -> None:
        """Follow a run's processes. `ended` is called with the outcome once all of them have ended."""
        processes = NodeProcesses(handle, allocation, self._to)
        self._followed[handle.folder] = processes
        processes.begin(ended)

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Wait at most `seconds`, None for no limit. Return whether the run has ended or is not followed."""
        processes = self._followed.get(handle.folder)
        return processes is None or processes.over.wait(seconds)

    def let_go(self, handle: Handle) -> None:
        """Release the run's followers and waiters, because it has ended."""
        if processes := self._followed.get(handle.folder):
            processes.over.set()

    def halt(self, handle: Handle, allocation: Allocation, nodes: list[Node], links: Links) -> None:
        """Stop the processes on the nodes that answer, and fetch their output, followed or not."""
        processes = self._followed.get(handle.folder) or NodeProcesses(handle, allocation, self._to)
        processes.halt(nodes, links)

    def forget(self, handle: Handle) -> None:
        self._followed.pop(handle.folder, None)

    def missing(self, there: Collection[str]) -> list[tuple[Path, str]]:
        """Return the runs with processes on nodes that are not `there`, each with one such node."""
        found = []
        for run, processes in list(self._followed.items()):
            gone = [share.node for share in processes.allocation.shares if share.node not in there]
            found += [(run, node) for node in gone[:1]]
        return found
