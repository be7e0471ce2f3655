"""What an engine on nodes works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from units.oci.runtime import Runtime
from units.systemd.announcing import Etcd
from units.systemd.belongings import Timing
from units.systemd.debts import Debts
from units.systemd.fetching import Registry
from units.systemd.links import Links
from units.systemd.node import Node
from units.systemd.places import Places
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
    places: Places
    debts: Debts
    arch: str
