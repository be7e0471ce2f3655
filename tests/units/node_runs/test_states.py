"""What systemd says of a run's units, and of nodes that say nothing."""

from __future__ import annotations

from pathlib import Path

from units.job import UnitState
from units.node_runs.states import parse, states
from units.nodes.allocation import Allocation, NodeShare, Seat
from units.nodes.link import Links

SHOWN = """\
Id=slaves_hello@1.service
ActiveState=active
MainPID=41

Id=master_hello.service
ActiveState=activating
MainPID=0
"""


def test_each_unit_is_a_block() -> None:
    assert parse(SHOWN)["slaves_hello@1.service"]["MainPID"] == "41"
    assert parse(SHOWN)["master_hello.service"]["ActiveState"] == "activating"
    assert parse("") == {}


def test_units_of_a_node_that_cannot_be_asked_are_away(tmp_path: Path) -> None:
    units = ("slaves_hello@.service", "discovery_hello@.service", "master_hello.service")
    share = NodeShare("node1", "/usr/bin/podman", units, (Seat(1, 22000, 2, 0, unit="slaves_hello@1"),))
    allocation = Allocation("hello", 1, "/run/nap/default/hello/1", "node1", "openmpi5", (), (share,))
    links = Links(tmp_path / "key")
    assert states(allocation, (), links) == (
        UnitState("slaves_hello@1", "node1", 2, "away"),
        UnitState("master_hello", "node1", 0, "away"),
    )
    links.close()
