"""The engine `systemd`: units of the nodes' systemd, in containers of their Podman or Docker."""

from __future__ import annotations

from receiver.builds import image_registry
from receiver.engine_support import Support
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.nodes import reach
from receiver.nodes.arch import own_arch
from receiver.nodes.book import NodeBook
from units.engine import Engine
from units.node_runs.pending_cleanup import NodeCleanup
from units.nodes.allocator import Allocator
from units.nodes.link import Links
from units.placement.place import Policy
from units.systemd.bundle import Timing
from units.systemd.engine import SystemdEngine
from units.systemd.parts import Parts
from units.systemd.unit_files import Site


class Systemd(Support):
    """Needs nodes, and what they reach at this machine: etcd and images."""

    engine = SystemdEngine

    def open(self, home: Home, settings: Settings) -> Engine:
        return SystemdEngine(parts(home, settings))


def parts(home: Home, settings: Settings) -> Parts:
    """Return what every engine on nodes is made of."""
    book, runtime = NodeBook(home.nodes), image_registry.runtime(home, settings)
    timing, away = settings.etcd.timing, settings.nodes.away
    links = Links(book.identity)
    debts = NodeCleanup(home.owed, links, book.all, away / 2)
    return Parts(
        site(home, settings, runtime.uid),
        links,
        book.all,
        lambda: reach.etcd(home, settings.etcd),
        lambda: reach.registry(home, settings),
        runtime,
        Timing(timing.ttl, timing.refresh, timing.retry, away),
        Allocator(book.all, Policy(settings.nodes.policy), settings.nodes.first_port, debts.away),
        debts,
        own_arch(),
    )


def site(home: Home, settings: Settings, uid: int) -> Site:
    """Return what all units of one home have in common."""
    return Site(str(home.root), home.id, uid, settings.containers.pids, settings.share)


SUPPORT = Systemd()
