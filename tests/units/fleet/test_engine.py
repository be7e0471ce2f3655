"""Where fleet puts a run's units, and what becomes of them there, told by a small cluster of its API."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.fleet import cluster as fleet_fake
from support.fleet.cluster import Nothing
from support.fleet.server import serving
from support.fleet.states import Known
from support.jobs.nodes import JOBS, ONE, SITE, TWO

from units.errors import UnitError
from units.fleet.bundle import FleetBundle
from units.fleet.client import FleetClient
from units.fleet.cluster import Cluster
from units.fleet.engine import FleetEngine
from units.job import Handle, Job, Outcome, UnitFile
from units.node_runs.pending_cleanup import NodeCleanup
from units.node_runs.tools import NodeTiming, Tools
from units.nodes.allocator import Allocator
from units.nodes.announce import Etcd
from units.nodes.link import Links
from units.nodes.pull import Registry
from units.oci.runtime import Runtime
from units.placement.capacity import Need, Use
from units.placement.place import Policy

AMD = {"arch": "amd64"}
JOB = replace(JOBS["two-nodes"], slaves=JOBS["two-nodes"].slaves[:2])
UNITS = [
    "slaves_hello.3@1.service", "slaves_hello.3@2.service", "discovery_hello.3@1.service",
    "discovery_hello.3@2.service", "master_hello.3.service",
]  # fmt: skip
REGISTRY = Registry(lambda image: image, "receiver:5000")
OVER = Outcome(1, "it is over")


@dataclass
class Fleet:
    """A fake of it, and what a home has there; the run's folder is `run`."""

    fake: fleet_fake.Cluster
    cluster: Cluster
    engine: FleetEngine
    run: Path

    def place(self, job: Job = JOB, given_up: Callable[[], bool] = lambda: False) -> Job | None:
        return self.engine.place(job, Handle(self.run), lambda _: None, given_up)

    def end(self) -> None:
        """The run is stopped, and what is left of it removed."""
        self.engine.stop(Handle(self.run), OVER)
        self.engine.clean_up(Handle(self.run))

    def names(self) -> list[str]:
        return list(self.fake.units)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Its machines are two nodes."""
    fake = fleet_fake.Cluster(
        {node.name: fleet_fake.Machine(AMD, node.address) for node in (TWO, ONE)}, page_size=100
    )
    run = tmp_path / "hello" / "3"
    run.mkdir(parents=True)
    with serving(fake) as url:
        cluster = Cluster(FleetClient([url]), tmp_path / "owed-to-fleet", within=0.5, every=0.05)
        yield Fleet(fake, cluster, FleetEngine(SITE, _tools(tmp_path), cluster), run)


def _tools(home: Path) -> Tools:
    nodes, links = (lambda: (ONE, TWO)), Links(home / "key")
    places = Allocator(nodes, Policy.PACK, 22000)
    runtime = Runtime("podman", "/usr/bin/podman", rootless=False, uid=1000)
    cleanup = NodeCleanup(home / "owed", links, nodes, 1)
    etcd = Etcd("https://receiver:2379", "v3")
    return Tools(
        links, nodes, lambda: etcd, lambda: REGISTRY, runtime, NodeTiming(), places, cleanup, "amd64"
    )  # fmt: skip


def test_slaves_are_where_fleet_put_their_units_and_none_has_been_started(fleet: Fleet) -> None:
    placed = fleet.place()
    assert placed is not None
    assert [(slave.node, slave.address, slave.port) for slave in placed.slaves] == [
        ("node2", "10.0.0.12", 22000),
        ("node1", "10.0.0.11", 22000),
    ]
    assert {unit.name: unit.wanted for unit in fleet.fake.units.values()} == dict.fromkeys(UNITS, "loaded")
    assert fleet.engine.uses() == [Use("node2", Need(2, 0)), Use("node1", Need(1, 0))]


def test_a_machine_is_sent_what_its_units_find_beside_them_and_no_units(fleet: Fleet) -> None:
    placed = fleet.place()
    assert placed is not None
    own = FleetBundle.of(placed, (ONE, TWO), SITE, ())
    assert own.unit_names(TWO) == (UNITS[0], UNITS[2], UNITS[4])
    assert own.unit_names(ONE) == (UNITS[1], UNITS[3])
    archive = own.archive(ONE, Etcd("https://receiver:2379", "v3"), REGISTRY, NodeTiming())
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        sent = {entry.name: entry for entry in members if entry.isfile()}
        runtime = members.extractfile(sent["run/nap/default/hello/3/runtime"])
        assert runtime
        assert runtime.read() == b"KIND=podman\nRUNTIME=/usr/bin/podman\nOPTIONS=--events-backend=none\n"
    assert {name for name in sent if not name.startswith("run/nap/default/hello/3/")} == set()


def test_a_run_that_was_submitted_is_where_it_was_whatever_fleet_says(fleet: Fleet) -> None:
    placed = fleet.place()
    assert placed is not None
    FleetBundle.of(placed, (ONE, TWO), SITE, ()).record().write(fleet.run)
    fleet.fake.silent = True
    assert fleet.place() == placed


def test_a_unit_that_no_machine_takes_is_told_with_what_it_asks_for(fleet: Fleet) -> None:
    fleet.fake.machines["node1"].metadata = {"arch": "arm64"}
    with pytest.raises(UnitError) as told:
        fleet.place()
    assert told.value.message == (
        "fleet found no machine for slaves_hello.3@2.service within 0.5 s; "
        "it asks for MachineMetadata=arch=amd64 and Conflicts=slaves_hello.3@*.service"
    )
    assert told.value.hint == "fleet has 10.0.0.12 arch=amd64, 10.0.0.11 arch=arm64"


def test_more_slaves_than_there_can_be_machines_are_refused_at_once(fleet: Fleet) -> None:
    assert fleet.engine.never_fits(JOB) == ""
    assert fleet.engine.never_fits(JOBS["two-nodes"]) == (
        "fleet puts each of 3 slaves on a machine of its own, "
        "and there are 2 nodes with the image's processor"
    )


def test_ranks_alone_get_the_slaves_that_nodes_have_slots_for(fleet: Fleet) -> None:
    placed = fleet.place(replace(JOB, slaves=(replace(JOB.slaves[0], slots=6),), splits=True))
    assert placed is not None
    assert [(slave.node, slave.slots) for slave in placed.slaves] == [("node2", 3), ("node1", 3)]


def test_a_unit_that_somebody_takes_out_meanwhile_is_told(fleet: Fleet) -> None:
    def taken_out() -> bool:
        fleet.fake.units.pop(UNITS[1], None)
        return False

    with pytest.raises(UnitError, match=f"the unit {UNITS[1]} was taken out of fleet"):
        fleet.place(given_up=taken_out)


def test_a_machine_that_is_no_node_is_told(fleet: Fleet) -> None:
    fleet.fake.machines["node1"].address = "10.0.0.99"
    with pytest.raises(UnitError, match=r"fleet put a slave on 10.0.0.99, which is no node of nap's"):
        fleet.place()


def test_what_a_run_has_in_fleet_is_destroyed_when_it_is_stopped(fleet: Fleet) -> None:
    fleet.place()
    fleet.end()
    assert fleet.names() == []
    assert fleet.engine.uses() == []


def test_a_run_that_is_given_up_while_it_is_placed_leaves_nothing(fleet: Fleet) -> None:
    assert fleet.place(given_up=lambda: True) is None
    fleet.end()
    assert fleet.names() == []


def test_what_is_somebody_elses_is_told_and_left_alone(fleet: Fleet) -> None:
    theirs = UnitFile(UNITS[1], "[Service]\nExecStart=/bin/true\n")
    with serving(fleet.fake) as url:
        FleetClient([url]).submit(theirs, "inactive")
    with pytest.raises(UnitError, match=f"fleet has a unit {UNITS[1]} already"):
        fleet.place()
    fleet.end()
    assert fleet.names() == [UNITS[1]]


def test_a_receiver_that_was_killed_while_it_placed_a_run_begins_again(fleet: Fleet) -> None:
    fleet.fake.puts = 3
    with pytest.raises(UnitError, match="does not answer"):
        fleet.place()
    assert len(fleet.names()) == 3
    fleet.fake.puts, fleet.fake.silent = None, False
    assert fleet.place() is not None
    assert fleet.names() == UNITS


def test_what_fleet_does_not_hear_of_is_owed_and_the_next_run_does_not_wait_for_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.place()
    fleet.fake.silent = True
    fleet.end()
    fleet.fake.silent = False
    following = tmp_path / "hello" / "4"
    following.mkdir()
    assert replace(fleet, run=following).place(replace(JOB, run=4)) is not None
    assert fleet.names() == [*UNITS, *(name.replace(".3", ".4") for name in UNITS)]
    replace(fleet, run=following).end()
    assert fleet.names() == UNITS


def test_what_is_owed_is_tried_again_until_it_is_gone(fleet: Fleet) -> None:
    fleet.place()
    fleet.fake.silent = True
    fleet.end()
    fleet.cluster.begin()
    fleet.fake.silent = False
    assert fleet.fake.emptied.wait(10)


class Mute(Nothing):
    """What it publishes is erased by another machine, which had units of these names."""

    def states(self, _names: list[str]) -> Known:
        return {}


def test_where_a_unit_is_does_not_hang_on_its_state(fleet: Fleet) -> None:
    for machine in fleet.fake.machines.values():
        machine.agent = Mute()
    assert fleet.place() is not None
