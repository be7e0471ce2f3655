"""The fleet that settings name: whether it answers, and whether nap gets to its machines."""

from __future__ import annotations

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.nodes.book import NodeBook
from receiver.text.output import Say
from units.fleet.client import Client, Machine
from units.fleet.cluster import Cluster


def client(settings: Settings, patience: float = 0.0) -> Client:
    if not settings.fleet.urls:
        raise ReceiverError("settings name no fleet", "write there: fleet: {url: http://HOST:PORT}")
    return Client(settings.fleet.urls, patience)


def cluster(home: Home, settings: Settings) -> Cluster:
    within, away = settings.fleet.within, settings.nodes.away
    return Cluster(client(settings, within), home.owed_to_fleet, within, away / 2)


def check(home: Home, settings: Settings, say: Say) -> None:
    """It answers, or this is a ReceiverError or UnitError; machines of it that nap cannot use are told."""
    for machine in strangers(home, client(settings).machines()):
        say(f"fleet's machine {machine.address} is no node yet: nap nodes add USER@{machine.address}")


def strangers(home: Home, machines: tuple[Machine, ...]) -> list[Machine]:
    """Those that are no nodes."""
    known = {node.address for node in NodeBook(home.nodes).all()}
    return [machine for machine in machines if machine.address not in known]
