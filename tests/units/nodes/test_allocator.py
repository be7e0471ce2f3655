"""Where a job would be placed, without its taking anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.jobs.nodes import JOB, ONE, SITE, TWO

from units import names
from units.errors import UnitError
from units.job import Job, Mpi, Process
from units.nodes.allocator import Allocator, Reservation, seated
from units.nodes.node import Node
from units.placement.capacity import Need, Use
from units.placement.place import Policy
from units.systemd.process_bundle import ProcessBundle

FOUR = replace(JOB, slaves=names.slaves("hello", 3, (2, 2, 2, 2)), mpi=Mpi("openmpi5", 8, ("./hello",)))


def places(*nodes: Node) -> Allocator:
    return Allocator(lambda: nodes, Policy.PACK, 22000)


def seats(job: Job) -> list[tuple[str, str, int]]:
    return [(slave.node, slave.address, slave.port) for slave in job.slaves]


def taken(of: Allocator) -> Job:
    job = of.take("run", FOUR, "amd64", lambda _: None, lambda: False)
    assert job is not None
    return job


def test_a_plan_is_what_a_run_then_gets_and_takes_nothing() -> None:
    both = places(ONE, TWO)
    planned = both.planned(FOUR, "amd64")
    assert both.uses() == []
    assert seats(planned) == seats(taken(both)) == [
        ("node1", ONE.address, 22000),
        ("node1", ONE.address, 22001),
        ("node2", TWO.address, 22000),
        ("node2", TWO.address, 22001),
    ]  # fmt: skip


def test_where_runs_have_all_slots_a_plan_is_for_when_they_are_over() -> None:
    both = places(ONE, TWO)
    taken(both)
    assert {(node, port) for node, _, port in seats(both.planned(FOUR, "amd64"))} == {
        ("node1", 22002), ("node1", 22003), ("node2", 22002), ("node2", 22003),
    }  # fmt: skip


def test_a_node_that_does_not_answer_is_told_from_one_that_takes_nothing() -> None:
    of = Allocator(lambda: (ONE, replace(TWO, drained=True)), Policy.PACK, 22000, lambda: ("node1",))
    with pytest.raises(UnitError, match="free: node1 away, node2 drained"):
        of.planned(FOUR, "amd64")


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ((), "needs 4 slaves of 2 slots; there are no nodes"),
        ((ONE,), "needs 4 slaves of 2 slots; node1 has 4, and it takes 8"),
        ((ONE, replace(TWO, drained=True)), "needs 4 slaves of 2 slots; free: node1 4, node2 drained"),
    ],
)
def test_what_no_nodes_are_there_for_is_told(nodes: tuple[Node, ...], why: str) -> None:
    with pytest.raises(UnitError) as told:
        places(*nodes).planned(FOUR, "amd64")
    assert told.value.message == why


def ranks(np: int, cpus_per_rank: int = 1) -> Job:
    """A job that says nothing but how many ranks it has."""
    (whole,) = names.slaves("hello", 3, (np,))
    whole = replace(whole, cpus=np * cpus_per_rank if cpus_per_rank > 1 else None, memory=1 << 20)
    return replace(JOB, slaves=(whole,), splits=True, mpi=Mpi("openmpi5", np, ("./hello",)))


def sizes(job: Job) -> list[tuple[str, str, int, int | None]]:
    return [(slave.name, slave.node, slave.slots, slave.cpus) for slave in job.slaves]


def test_ranks_alone_become_the_fewest_slaves_that_there_is_room_for() -> None:
    two = replace(TWO, slots=6)
    assert sizes(places(ONE, two).planned(ranks(5), "amd64")) == [("hello-slave1", "node2", 5, None)]
    assert sizes(places(ONE, two).planned(ranks(9), "amd64")) == [
        ("hello-slave1", "node2", 5, None),
        ("hello-slave2", "node1", 4, None),
    ]
    assert sizes(places(ONE, two).planned(ranks(4, cpus_per_rank=2), "amd64")) == [
        ("hello-slave1", "node1", 2, 4),
        ("hello-slave2", "node2", 2, 4),
    ]


def test_slaves_get_what_others_have_left_and_are_found_again_from_their_places() -> None:
    both = places(ONE, TWO)
    first = both.take("first", ranks(3), "amd64", lambda _: None, lambda: False)
    assert first is not None
    job = both.take("second", ranks(5), "amd64", lambda _: None, lambda: False)
    assert job is not None
    assert sizes(job) == [("hello-slave1", "node2", 4, None), ("hello-slave2", "node1", 1, None)]
    found = [Use(slave.node, Need(slave.slots, slave.memory or 0)) for slave in job.slaves]
    assert seated(ranks(5), found, [slave.port for slave in job.slaves], (ONE, TWO)) == job


def test_more_ranks_than_all_nodes_have_slots_never_fit() -> None:
    assert places(ONE, TWO).never_fits(ranks(9), "amd64") == (
        "needs 9 slots with 1M a slave; the 2 nodes have 8 in all"
    )


# --- services ---

WEB, WORKER = Process("web", (), 5001), Process("worker", ())
SERVICE = replace(JOB, service=True, processes=(WEB, WORKER))


def up(of: Allocator, job: Job, told: Callable[[str], None] = lambda _: None) -> Job:
    """The service once it has its places; given up when it has to wait."""
    heard: list[str] = []
    placed = of.take(f"run {job.run}", job, "amd64", heard.append, lambda: True)
    for sentence in heard:
        told(sentence)
    return placed or job


def test_a_process_takes_a_slot_and_stays() -> None:
    small = replace(ONE, slots=3)
    both = places(small)
    assert [(one.node, one.address, one.inner) for one in up(both, SERVICE).processes] == [
        ("node1", ONE.address, 22000), ("node1", ONE.address, 22001),
    ]  # fmt: skip
    heard: list[str] = []
    up(both, replace(SERVICE, app="other"), heard.append)
    assert heard == ["needs 2 processes of 1 slot; free: node1 1"]


def test_the_next_run_of_a_service_goes_where_people_find_it_and_takes_over_the_slots() -> None:
    both = places(replace(ONE, slots=2), TWO)
    before = up(both, SERVICE)
    planned = both.planned(replace(SERVICE, run=4), "amd64")
    assert [one.node for one in planned.processes] == ["node1", "node1"]
    after = up(both, replace(SERVICE, run=4, processes=(Process("more", ()), WEB, WORKER)))
    assert [one.node for one in after.processes] == ["node2", "node1", "node1"]
    assert not {one.inner for one in before.processes if one.node == "node1"} & {
        one.inner for one in after.processes if one.node == "node1"
    }
    assert len(both.uses()) == 3
    both.give_back("run 3")
    assert len(both.uses()) == 3
    both.give_back("run 4")
    assert both.uses() == []


def test_a_service_leaves_a_node_that_is_drained_with_its_next_run() -> None:
    nodes = [ONE, TWO]
    both = Allocator(lambda: nodes, Policy.PACK, 22000)
    assert {one.node for one in up(both, SERVICE).processes} == {"node1"}
    nodes[0] = replace(ONE, drained=True)
    assert {one.node for one in up(both, replace(SERVICE, run=4)).processes} == {"node2"}


def test_what_an_earlier_receiver_has_placed_is_taken_over_too() -> None:
    job = up(places(ONE, TWO), SERVICE)
    both = places(ONE, TWO)
    both.hold("run 3", Reservation.of(ProcessBundle.of(job, (ONE, TWO), SITE, (), "").record(), 0.0))
    assert len(both.uses()) == 2
    assert [one.inner for one in up(both, replace(SERVICE, run=4)).processes] == [22002, 22003]
    assert len(both.uses()) == 2
