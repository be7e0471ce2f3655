"""Who starts next, and that the first in line is never delayed by one that overtakes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as some

from units.placement.backfill import STAYS, Running, Start, Waiting, next_to_start
from units.placement.capacity import Need, Offer, Room, Use
from units.placement.place import Ask, Policy, Ranks, place

PACK = Policy.PACK
NODES = (Offer("node1", 4), Offer("node2", 4))


def job(name: str, *slots: int, timeout: float | None = None, arch: str = "amd64") -> Waiting:
    return Waiting(name, Ask(tuple(map(Need, slots)), arch), timeout)


def running(node: str, slots: int, ends: float | None) -> Running:
    return Running((Use(node, Need(slots)),), ends)


def started(waiting: list[Waiting], runs: list[Running], nodes: tuple[Offer, ...] = NODES) -> list[str]:
    """Who starts at the time 0."""
    room = Room(nodes, [use for run in runs for use in run.uses])
    return [start.job.name for start in next_to_start(waiting, runs, room, 0, PACK)]


def test_jobs_start_in_order_as_long_as_they_fit() -> None:
    assert started([job("a", 4), job("b", 2), job("c", 2), job("d", 1)], []) == ["a", "b", "c"]


def test_the_first_that_waits_is_kept_what_those_give_back_that_start_with_it() -> None:
    short, first = job("short", 4, timeout=100), job("first", 4, 4)
    assert started([short, first, job("long", 4, timeout=101)], []) == ["short"]
    assert started([short, first, job("over in time", 4, timeout=100)], []) == ["short", "over in time"]


def test_a_later_one_that_is_over_in_time_overtakes() -> None:
    runs = [running("node1", 4, ends=100)]
    first = job("first", 4, 4, timeout=1000)
    assert started([first, job("short", 4, timeout=100)], runs) == ["short"]
    assert started([first, job("long", 4, timeout=101)], runs) == []
    assert started([first, job("endless", 4)], runs) == []


def test_a_long_one_overtakes_on_what_the_first_leaves_over() -> None:
    runs = [running("node1", 4, ends=100), running("node2", 2, ends=500)]
    first = job("first", 3)
    assert started([first, job("beside", 2, timeout=9999)], runs) == ["beside"]
    assert started([first, job("one", 1), job("two", 2)], runs) == ["one"]


def test_an_overtaker_is_placed_off_the_nodes_kept_for_the_first() -> None:
    nodes = (Offer("node1", 4), Offer("node2", 4), Offer("other", 3))
    runs = [running("node1", 3, ends=100), running("node2", 4, ends=None)]
    room = Room(nodes, [use for run in runs for use in run.uses])
    starts = next_to_start([job("first", 4), job("long", 1)], runs, room, 0, PACK)
    assert starts == (Start(job("long", 1), (Use("other", Need(1)),)),)


def test_two_overtakers_do_not_take_the_same_spare_slots() -> None:
    runs = [running("node1", 2, ends=100), running("node2", 4, ends=500)]
    first = job("first", 3)
    assert started([first, job("one", 1), job("another", 1)], runs) == ["one"]
    assert started([first, job("short", 1, timeout=50), job("one", 1), job("more", 1)], runs) == [
        "short",
        "one",
    ]


def test_what_a_short_overtaker_took_is_not_spare_any_more() -> None:
    nodes = (Offer("node1", 4), Offer("node2", 3))
    runs = [running("node1", 2, ends=100), running("node2", 2, ends=100)]
    waiting = [job("first", 3, 3), job("short", 2, timeout=50), job("long", 1)]
    assert started(waiting, runs, nodes) == ["short"]
    assert started([waiting[0], waiting[2]], runs, nodes) == ["long"]


def test_while_no_end_is_known_nothing_takes_what_the_first_could_use() -> None:
    nodes = (*NODES, Offer("small", 1), Offer("arm", 8, arch="arm64"))
    runs = [running("node1", 4, ends=None)]
    waiting = [
        job("first", 4, 4),
        job("short", 1, timeout=1),
        job("elsewhere", 8, arch="arm64"),
        job("still", 1),
    ]
    assert started(waiting, runs, nodes) == ["short", "elsewhere"]
    assert started([job("first", 4, 4), job("two", 2, timeout=1)], runs, nodes) == []


def test_a_first_that_waits_for_a_drained_node_or_a_service_holds_nobody_up() -> None:
    drained = (NODES[0], Offer("node2", 4, closed="drained"))
    assert started([job("both", 4, 4), job("one", 4)], [], drained) == ["one"]
    served = [running("node1", 1, ends=STAYS)]
    assert started([job("both", 4, 4), job("one", 4)], served) == ["one"]


def test_behind_one_that_holds_nobody_up_the_next_is_the_first() -> None:
    served = [running("node1", 1, ends=STAYS), running("node2", 2, ends=10)]
    behind = [job("first", 4), job("long", 3), job("longer", 2), job("short", 2, timeout=9)]
    assert started([job("both", 4, 4), *behind], served) == ["long", "short"]


def test_a_run_that_is_over_its_time_is_about_to_end() -> None:
    runs = [running("node1", 4, ends=-5)]
    assert started([job("first", 4, 4), job("short", 4, timeout=1)], runs) == []


def test_the_room_that_is_given_stays_as_it_is() -> None:
    room = Room(NODES)
    next_to_start([job("a", 4), job("b", 4), job("c", 1)], [], room, 0, PACK)
    assert room.free("amd64") == 8


@dataclass
class Simulation:
    """Time goes from event to event: an arrival or an end. Runs last as long as is given for them."""

    nodes: tuple[Offer, ...]
    policy: Policy
    lasts: dict[str, float]
    waiting: list[Waiting] = field(default_factory=list)
    runs: list[tuple[float, Running]] = field(default_factory=list)
    begun: dict[str, float] = field(default_factory=dict)

    def run(self, arrivals: list[tuple[float, Waiting]]) -> None:
        todo = list(arrivals)
        while todo or self.runs:
            now = min([at for at, _ in todo[:1]] + [end for end, _ in self.runs])
            self.runs = [(end, run) for end, run in self.runs if end > now]
            while todo and todo[0][0] <= now:
                self.waiting.append(todo.pop(0)[1])
            self.start(now)

    def start(self, now: float) -> None:
        runs = [run for _, run in self.runs]
        room = Room(self.nodes, [use for run in runs for use in run.uses])
        for start in next_to_start(self.waiting, runs, room, now, self.policy):
            self.waiting.remove(start.job)
            self.begun[start.job.name] = now
            run = Running(start.uses, start.job.ends(now))
            self.runs.append((now + self.lasts[start.job.name], run))
        self.check()

    def check(self) -> None:
        used = [use for _, run in self.runs for use in run.uses]
        for node in self.nodes:
            here = [use.need for use in used if use.node == node.name]
            assert sum(need.slots for need in here) <= node.slots
            assert node.memory is None or sum(need.memory for need in here) <= node.memory


class Promises(Simulation):
    """Holds to each first in line what it could have counted on when it became the first."""

    promised: dict[str, float]

    def run(self, arrivals: list[tuple[float, Waiting]]) -> None:
        self.promised = {}
        super().run(arrivals)

    def start(self, now: float) -> None:
        super().start(now)
        if self.waiting:
            first = self.waiting[0]
            sure = earliest(first, [run for _, run in self.runs if run.ends is not None], self, now)
            was = self.promised.setdefault(first.name, sure)
            assert sure <= was
            self.promised[first.name] = sure


def earliest(first: Waiting, known: list[Running], simulation: Simulation, now: float) -> float:
    """When its nodes are free at the latest; written anew, without the queue's own means."""
    uses = [use for _, run in simulation.runs for use in run.uses]
    for ends in sorted({run.ends for run in known if run.ends is not None}):
        over = [use for run in known if run.ends is not None and run.ends <= ends for use in run.uses]
        left = list(uses)
        for use in over:
            left.remove(use)
        if place(first.ask, Room(simulation.nodes, left), PACK) is not None:
            return max(now, ends)
    return math.inf


needs = some.builds(Need, some.integers(1, 4), some.integers(0, 2))
asks = some.builds(Ask, some.lists(needs, min_size=1, max_size=4).map(tuple), some.just("amd64"))
elastic = some.builds(
    Ranks, some.integers(1, 9), some.integers(1, 2), some.integers(0, 1), some.just("amd64")
)
nodes = some.lists(
    some.tuples(some.integers(1, 6), some.none() | some.integers(2, 5)), min_size=1, max_size=4
).map(lambda drawn: tuple(Offer(f"node{at}", *size) for at, size in enumerate(drawn)))
# What each lasts, how much longer its timeout is (None: it has none), and the time since the one before.
jobs = some.lists(
    some.tuples(
        asks | elastic, some.integers(1, 20), some.none() | some.integers(0, 10), some.integers(0, 5)
    ),
    min_size=1,
    max_size=12,
)
Drawn = list[tuple[Ask | Ranks, int, "int | None", int]]


def simulate(kind: type[Simulation], nodes: tuple[Offer, ...], drawn: Drawn, policy: Policy) -> Simulation:
    """Only jobs that fit the empty nodes, as a push makes sure."""
    fitting = [one for one in drawn if place(one[0], Room(nodes), policy) is not None]
    arrivals: list[tuple[float, Waiting]] = []
    lasts: dict[str, float] = {}
    at = 0.0
    for number, (ask, seconds, spare, since) in enumerate(fitting):
        at += since
        name = f"job{number}"
        lasts[name] = seconds
        arrivals.append((at, Waiting(name, ask, None if spare is None else seconds + spare)))
    simulation = kind(nodes, policy, lasts)
    simulation.run(arrivals)
    return simulation


policies = some.sampled_from(list(Policy))


@given(nodes, jobs, policies)
def test_what_fits_the_empty_nodes_starts_in_the_end(
    nodes: tuple[Offer, ...], drawn: Drawn, policy: Policy
) -> None:
    simulation = simulate(Simulation, nodes, drawn, policy)
    assert simulation.begun.keys() == simulation.lasts.keys()


@settings(max_examples=200)
@given(nodes, jobs, policies)
def test_the_first_is_never_delayed_by_one_that_overtakes(
    nodes: tuple[Offer, ...], drawn: Drawn, policy: Policy
) -> None:
    simulation = simulate(Promises, nodes, drawn, policy)
    assert isinstance(simulation, Promises)
    for name, promised in simulation.promised.items():
        assert simulation.begun[name] <= promised


@given(nodes, jobs, policies)
def test_without_known_ends_jobs_of_one_size_start_in_order(
    nodes: tuple[Offer, ...], drawn: Drawn, policy: Policy
) -> None:
    same = [(drawn[0][0], seconds, None, since) for _, seconds, _, since in drawn]
    begun = simulate(Simulation, nodes, same, policy).begun
    assert list(begun.values()) == [begun[f"job{number}"] for number in range(len(begun))]
    assert sorted(begun.values()) == list(begun.values())
