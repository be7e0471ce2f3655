"""The engine `systemd`: units of the nodes' systemd that run containers of their Podman or Docker."""

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
from units.node_runs.tools import NodeTiming, Tools
from units.nodes.allocator import Allocator
from units.nodes.link import Links
from units.placement.place import Policy
from units.systemd.engine import SystemdEngine
from units.systemd.unit_files import Site


class Systemd(Support):
    """Sets up the engine, which needs nodes, and etcd and an image registry that the nodes can reach."""

    engine = SystemdEngine

    def open(self, home: Home, settings: Settings) -> Engine:
        made = tools(home, settings)
        return SystemdEngine(site(home, settings, made.runtime.uid), made)


def tools(home: Home, settings: Settings) -> Tools:
    """Return the parts that all engines on nodes share."""
    book, timing, away = NodeBook(home.nodes), settings.etcd.timing, settings.nodes.away
    links = Links(book.identity)
    cleanup = NodeCleanup(home.owed, links, book.all, away / 2)
    policy = Policy(settings.nodes.policy)
    return Tools(
        links=links,
        nodes=book.all,
        etcd=lambda: reach.etcd(home, settings.etcd),
        registry=lambda: reach.registry(home, settings),
        runtime=image_registry.runtime(home, settings),
        timing=NodeTiming(timing.ttl, timing.refresh, timing.retry, away),
        allocator=Allocator(book.all, policy, settings.nodes.first_port, cleanup.away),
        cleanup=cleanup,
        arch=own_arch(),
    )


def site(home: Home, settings: Settings, uid: int) -> Site:
    """Return the values that all units of one home have in common."""
    return Site(str(home.root), home.id, uid, settings.containers.pids, settings.share)


SUPPORT = Systemd()
