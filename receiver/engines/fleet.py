"""The engine `fleet`: units run on nodes, and a fleet places and starts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.engine_support import Support
from receiver.engines import systemd
from receiver.errors import ReceiverError
from receiver.findings import ExaminedMachine, Finding, settings_of
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.nodes.arch import own_arch
from receiver.nodes.book import NodeBook
from receiver.text.output import Say
from units.engine import Engine
from units.errors import UnitError
from units.fleet import unit_files
from units.fleet.client import FleetClient, FleetMachine
from units.fleet.cluster import Cluster
from units.fleet.engine import FleetEngine
from units.job import Job, UnitFile
from units.oci.runtime import APP_ID


@dataclass(frozen=True)
class FleetSettings:
    """The URLs of fleet, and the timeout in seconds for its answers and for its choice of machines."""

    urls: tuple[str, ...]
    within: int

    @classmethod
    def of(cls, settings: Settings) -> FleetSettings:
        block: Mapping[str, Any] = settings.engines["fleet"]
        return cls(tuple(block["url"]), block["within"])

    def client(self, patience: float = 0.0) -> FleetClient:
        """Return a client that retries for `patience` seconds. ReceiverError when settings name no fleet."""
        if not self.urls:
            raise ReceiverError("settings name no fleet", "write there: fleet: {url: http://HOST:PORT}")
        return FleetClient(self.urls, patience)


class Fleet(Support):
    """Sets up the engine, which needs a fleet, with each of its machines added as a node."""

    engine = FleetEngine

    def open(self, home: Home, settings: Settings) -> Engine:
        fleet, away = FleetSettings.of(settings), settings.nodes.away
        owed = home.root / "owed-to-fleet"
        cluster = Cluster(fleet.client(fleet.within), owed, fleet.within, away / 2)
        tools = systemd.tools(home, settings)
        return FleetEngine(systemd.site(home, settings, tools.runtime.uid), tools, cluster)

    def prepare(self, home: Home, settings: Settings, say: Say) -> None:
        say_who_is_no_node(home, settings, say)
        super().prepare(home, settings, say)

    def findings(self, machine: ExaminedMachine, is_current: bool) -> list[Finding]:
        """Return nothing unless fleet is the current engine, or the settings name a fleet."""
        settings = settings_of(machine)
        if settings is None or not (is_current or FleetSettings.of(settings).urls):
            return []
        return [_finding(Home(machine.home), FleetSettings.of(settings))]

    def export(self, home: Home, settings: Settings, job: Job) -> tuple[UnitFile, ...]:
        return unit_files.units(job, systemd.site(home, settings, APP_ID), own_arch())


def say_who_is_no_node(home: Home, settings: Settings, say: Say) -> None:
    """Name the fleet's machines that are no nodes, which nap cannot use.

    ReceiverError when the settings name no fleet; UnitError when the fleet does not answer.
    """
    for machine in _strangers(home, FleetSettings.of(settings).client().machines()):
        say(f"fleet's machine {machine.address} is no node yet: nap nodes add USER@{machine.address}")


def _finding(home: Home, fleet: FleetSettings) -> Finding:
    try:
        machines = fleet.client().machines()
    except (ReceiverError, UnitError) as error:
        return Finding("fleet", False, error.message, error.hint)
    if absent := _strangers(home, machines):
        return Finding("fleet", False, f"its machine {absent[0].address} is no node", "see: nap nodes add")
    addresses = ", ".join(one.address for one in machines)
    return Finding("fleet", True, f"{', '.join(fleet.urls)}: {addresses or 'no machines'}")


def _strangers(home: Home, machines: tuple[FleetMachine, ...]) -> list[FleetMachine]:
    """Return the machines that are not nodes of this home."""
    known = {node.address for node in NodeBook(home.nodes).all()}
    return [machine for machine in machines if machine.address not in known]


SUPPORT = Fleet()
