"""What an engine on nodes works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from units.node_runs.pending_cleanup import NodeCleanup
from units.nodes.allocator import Allocator
from units.nodes.announce import Etcd
from units.nodes.link import Links
from units.nodes.node import Node
from units.nodes.pull import Registry
from units.oci.runtime import Runtime
from units.systemd.bundle import Timing
from units.systemd.unit_files import Site


@dataclass(frozen=True)
class Parts:
    """`nodes`, `etcd` and `registry` tell what there is now; `runtime`, the receiver's own, made the images,
    which are for processors of the kind `arch`.
    """

    site: Site
    links: Links
    nodes: Callable[[], Sequence[Node]]
    etcd: Callable[[], Etcd]
    registry: Callable[[], Registry]
    runtime: Runtime
    timing: Timing
    places: Allocator
    cleanup: NodeCleanup
    arch: str
