"""The home's current engine, with all that it needs. What an engine needs is loaded for that one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from receiver import engine_choice
from receiver.builds import image_registry
from receiver.home.paths import Home
from receiver.home.settings import Settings
from units.engine import Engine
from units.launching import Machine

if TYPE_CHECKING:
    from units.systemd.parts import Parts


def opened(home: Home, settings: Settings) -> Engine:
    """The current one. UnitError or RegistryError when what it needs is not there."""
    if engine_choice.current(home) == "systemd":
        from units.systemd.engine import SystemdEngine

        return SystemdEngine(_nodes(home, settings))
    if engine_choice.current(home) == "fleet":
        from receiver.nodes import fleets
        from units.fleet.engine import FleetEngine

        return FleetEngine(_nodes(home, settings), fleets.cluster(home, settings))
    if engine_choice.current(home) == "containers":
        from units.containers.engine import ContainersEngine

        limits, runtime = settings.containers, image_registry.runtime(home, settings)
        on_host = limits.network == "host"
        return ContainersEngine(home.root, Machine.here(), runtime, limits.pids, on_host)
    from units.local.engine import LocalEngine

    return LocalEngine(home.root, Machine.here())


def _nodes(home: Home, settings: Settings) -> Parts:
    from receiver.nodes import reach
    from receiver.nodes.arch import own_arch
    from receiver.nodes.book import NodeBook
    from units.placement.place import Policy
    from units.systemd.belongings import Timing
    from units.systemd.debts import Debts
    from units.systemd.links import Links
    from units.systemd.parts import Parts
    from units.systemd.places import Places
    from units.systemd.unit_files import Site

    book, runtime = NodeBook(home.nodes), image_registry.runtime(home, settings)
    timing, away = settings.etcd.timing, settings.nodes.away
    links = Links(book.identity)
    debts = Debts(home.owed, links, book.all, away / 2)
    return Parts(
        Site(str(home.root), home.id, runtime.uid, settings.containers.pids, settings.share),
        links,
        book.all,
        lambda: reach.etcd(home, settings.etcd),
        lambda: reach.registry(home, settings),
        runtime,
        Timing(timing.ttl, timing.refresh, timing.retry, away),
        Places(book.all, Policy(settings.nodes.policy), settings.nodes.first_port, debts.away),
        debts,
        own_arch(),
    )
