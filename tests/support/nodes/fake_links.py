"""Two nodes without machines, and what a run has there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from support.jobs.nodes import ONE, TWO

from units.errors import UnitError
from units.node_runs.pending_cleanup import NodeCleanup
from units.nodes.allocation import Allocation, NodeShare
from units.nodes.link import Done
from units.nodes.node import Node

IMAGE = f"receiver:5000/hello_image@sha256:{'0' * 64}"
SHARED = "/srv/share/nap/default/hello/3/share"
SHARES = tuple(NodeShare(node.name, node.runtime, ("slaves_hello@.service",), ()) for node in (ONE, TWO))
OWN = Allocation(
    "hello", 3, "/run/nap/default/hello/3", "node1", "openmpi5", ("nap.run=3",), SHARES, shared="/own"
)  # fmt: skip
IN_COMMON = replace(OWN, shared=SHARED, sharer=1000)


class FakeLinks:
    """Every node is there, but for those that are `away`; `asked` is what was to be removed where.

    Nothing comes of what they have in common while that is `stuck`.
    """

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.stuck = False
        self.asked: list[tuple[str, str, str]] = []
        self.removed = threading.Event()

    def each(self, nodes: Iterable[Node], step: Callable[[Node, Any], Any]) -> dict[str, Any]:
        return {node.name: self._attempt(node, step) for node in nodes}

    def _attempt(self, node: Node, step: Callable[[Node, Any], Any]) -> Any:
        try:
            return step(node, self.to(node))
        except UnitError as error:
            return error

    def to(self, node: Node) -> FakeLink:
        return FakeLink(self, node.name)


class FakeLink:
    def __init__(self, links: FakeLinks, node: str) -> None:
        self._links = links
        self._node = node

    def ask(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> str:
        if self._node in self._links.away:
            raise UnitError("it does not answer")
        words = argv[argv.index("-c") + 2 :] if "-c" in argv else argv
        if words[0] == "remove":
            self._links.asked.append((self._node, "remove", words[3]))
            self._links.removed.set()
        if words[0] == "unshare":
            self._links.asked.append((self._node, f"unshare as {argv[1]}", words[1]))
            if self._links.stuck:
                raise UnitError("it did not end in time")
        return ""

    def run(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> Done:
        if self._node in self._links.away:
            raise UnitError("it does not answer")
        self._links.asked.append((self._node, argv[1], argv[2]))
        return Done(1, b"", "it is in use")


class Idle(threading.Event):
    """What somebody waits for, once there is nothing to do."""

    def __init__(self, cleanup: NodeCleanup) -> None:
        super().__init__()
        self._begun = threading.Event()
        cleanup._due = self
        cleanup.begin()
        assert self._begun.wait(5)

    def wait(self, timeout: float | None = None) -> bool:
        self._begun.set()
        return super().wait(timeout)
