"""The objects that an engine on nodes works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from units.errors import UnitError
from units.node_runs.pending_cleanup import NodeCleanup
from units.nodes.allocation import Allocation
from units.nodes.allocator import Allocator
from units.nodes.announce import Etcd
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.pull import Registry
from units.oci.runtime import Runtime


@dataclass(frozen=True)
class NodeTiming:
    """Times in seconds: those of `Announcement`, and `away`, after which a silent node is given up."""

    ttl: int = 60
    refresh: float = 20
    retry: float = 10
    away: int = 60


@dataclass(frozen=True)
class Tools:
    """The tools of an engine. `nodes`, `etcd` and `registry` return the current ones.

    `runtime` is the receiver's own container runtime. It built the images, which are for the architecture
    `arch`.
    """

    links: Links
    nodes: Callable[[], Sequence[Node]]
    etcd: Callable[[], Etcd]
    registry: Callable[[], Registry]
    runtime: Runtime
    timing: NodeTiming
    allocator: Allocator
    cleanup: NodeCleanup
    arch: str

    def nodes_of(self, allocation: Allocation) -> list[Node]:
        """Return a run's nodes that are still in the book."""
        names = {share.node for share in allocation.shares}
        return [node for node in self.nodes() if node.name in names]

    def present(self, allocation: Allocation) -> list[Node]:
        """Return a run's nodes without those that `NodeCleanup.away` lists."""
        away = self.cleanup.away()
        return [node for node in self.nodes_of(allocation) if node.name not in away]

    def link(self, name: str) -> Link:
        """Return the link to a node. Raise UnitError when it is not in the book any more."""
        found = next((node for node in self.nodes() if node.name == name), None)
        if found is None:
            raise UnitError(f"the node {name} is gone", "see: nap nodes")
        return self.links.to(found)
