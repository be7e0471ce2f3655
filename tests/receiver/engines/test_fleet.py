"""The fleet that settings name, as `nap up` and `nap doctor` look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fleet.cluster import Cluster, Machine
from support.fleet.server import serving
from support.jobs.nodes import ONE, TWO

from receiver.engines import fleet
from receiver.errors import ReceiverError
from receiver.findings import this_machine
from receiver.home import settings
from receiver.home.paths import Home
from receiver.nodes.book import NodeBook
from units.errors import UnitError


@pytest.fixture
def cluster() -> Cluster:
    return Cluster({node.name: Machine({}, node.address) for node in (ONE, TWO)})


@pytest.fixture
def home(tmp_path: Path, cluster: Cluster) -> Iterator[Home]:
    """Its fleet has two machines, of which one is a node."""
    home = Home(tmp_path)
    NodeBook(home.nodes).add(ONE, "a" * 32)
    with serving(cluster) as url:
        home.settings.write_text(f"fleet: {{url: '{url}'}}\n")
        yield home


def said(home: Home) -> list[str]:
    lines: list[str] = []
    fleet.say_who_is_no_node(home, settings.load(home.settings), lines.append)
    return lines


def test_a_machine_that_is_no_node_yet_is_told(home: Home) -> None:
    assert said(home) == ["fleet's machine 10.0.0.12 is no node yet: nap nodes add USER@10.0.0.12"]
    NodeBook(home.nodes).add(TWO, "b" * 32)
    assert said(home) == []


def test_a_fleet_that_does_not_answer_or_is_not_named_is_told(home: Home, cluster: Cluster) -> None:
    cluster.silent = True
    with pytest.raises(UnitError, match="does not answer"):
        said(home)
    home.settings.write_text("")
    with pytest.raises(ReceiverError, match="settings name no fleet"):
        said(home)


def test_doctor_looks_at_a_fleet_that_is_named(home: Home, cluster: Cluster) -> None:
    machine = this_machine(home.root)
    (found,) = fleet.SUPPORT.findings(machine, False)
    assert (found.ok, found.found) == (False, "its machine 10.0.0.12 is no node")
    cluster.machines["node2"].address = ONE.address
    (found,) = fleet.SUPPORT.findings(machine, True)
    assert (found.ok, found.found.partition(" ")[2]) == (True, "10.0.0.11, 10.0.0.11")
    assert fleet.SUPPORT.findings(replace(machine, home=home.root / "other"), False) == []
