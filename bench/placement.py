"""How good and how fast placement is: `python bench/placement.py [JOBS] [NODES]`, 10,000 on 1,000 by default.

A simulation: jobs arrive, wait, run and end, in simulated time; the code that decides is the real one. The
same jobs, of a fixed seed, for each policy.

The cluster, by turns: five nodes in ten have 16 slots and 64 GB, three 32 and 128 GB, two 64 and 256 GB.

A job has 1, 2, 4, 8 or 16 slaves (small counts more often), of 1, 2, 4, 8 or 16 slots; one in four asks for
1, 2, 4 or 8 GB a slot, and one in ten gives just its number of ranks. It lasts one minute to four hours
(log-uniform). Nineteen in twenty have a timeout, of one to three times that. They arrive at random (Poisson),
as many as would keep LOAD of all slots busy.

What is reported:
- decisions and the time of one: each arrival and each end asks once who starts now;
- used: the share of all slots that is in use, over the time from the first fifth of arrivals to the last;
- fragmentation: of the slots that are free, the share on which no slave of WIDE slots can be put, because a
  node has less left; the mean over the same time. 0 is best;
- wait: from arrival to start, of all jobs and of those of at least 64 slots; overtaken is who started before
  a job that came earlier.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from units.placement.backfill import Running, Waiting, next_to_start
from units.placement.capacity import Need, Offer, Room, Use
from units.placement.place import Ask, Policy, Ranks

SEED = 20
LOAD = 1.0
WIDE = 16
LARGE = 64
GB = 1 << 30
# Slots of ten nodes, each with 4 GB.
TEN_NODES = (16, 16, 32, 16, 64, 16, 32, 16, 32, 64)


@dataclass(frozen=True)
class Arrival:
    at: float
    lasts: float
    job: Waiting


@dataclass
class Cluster:
    """One policy's simulation. `room` goes along with what runs, so that no decision has to build it."""

    nodes: tuple[Offer, ...]
    policy: Policy
    since: float
    until: float
    now: float = 0
    waiting: list[Waiting] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)
    ends: list[tuple[float, str]] = field(default_factory=list)
    begun: dict[str, float] = field(default_factory=dict)
    decisions: list[float] = field(default_factory=list)
    used: float = 0
    scattered: float = 0

    def __post_init__(self) -> None:
        self.room = Room(self.nodes)
        self.slots = sum(node.slots for node in self.nodes)
        self.wide = sum(node.slots // WIDE * WIDE for node in self.nodes)

    def run(self, arrivals: list[Arrival]) -> None:
        lasts = {arrival.job.name: arrival.lasts for arrival in arrivals}
        for arrival in arrivals:
            while self.ends and self.ends[0][0] <= arrival.at:
                self.end_one(lasts)
            self.go_to(arrival.at)
            self.waiting.append(arrival.job)
            self.decide(lasts)
        while self.ends:
            self.end_one(lasts)

    def end_one(self, lasts: dict[str, float]) -> None:
        at, name = heapq.heappop(self.ends)
        self.go_to(at)
        for use in self.running.pop(name).uses:
            self.change(use, Room.give_back)
        self.decide(lasts)

    def decide(self, lasts: dict[str, float]) -> None:
        asked = time.perf_counter()
        starts = next_to_start(self.waiting, self.running.values(), self.room, self.now, self.policy)
        self.decisions.append(time.perf_counter() - asked)
        for start in starts:
            name = start.job.name
            self.begun[name] = self.now
            self.running[name] = Running(start.uses, start.job.ends(self.now))
            heapq.heappush(self.ends, (self.now + lasts[name], name))
            for use in start.uses:
                self.change(use, Room.take)
        self.waiting = [job for job in self.waiting if job.name not in self.begun]

    def go_to(self, at: float) -> None:
        """Time passes with what is free now."""
        seconds = min(at, self.until) - max(self.now, self.since)
        if seconds > 0:
            free = self.room.free("amd64")
            self.used += seconds * (1 - free / self.slots)
            self.scattered += seconds * (1 - self.wide / free if free else 0)
        self.now = at

    def change(self, use: Use, how: Callable[[Room, Use], None]) -> None:
        self.wide -= self.room.left(use.node)[0] // WIDE * WIDE
        how(self.room, use)
        self.wide += self.room.left(use.node)[0] // WIDE * WIDE

    def row(self, arrivals: list[Arrival]) -> str:
        span = self.until - self.since
        waits = [(self.begun[one.job.name] - one.at, one.job.ask.slots) for one in arrivals]
        large = [wait for wait, slots in waits if slots >= LARGE]
        mean, most = statistics.mean(self.decisions), statistics.quantiles(self.decisions, n=100)[-1]
        return (
            f"{self.policy.value:>10}{sum(self.decisions):8.1f} s{mean * 1e3:8.2f} ms{most * 1e3:8.1f} ms"
            f"{self.used / span:9.1%}{self.scattered / span:10.1%}"
            f"{statistics.mean(wait for wait, _ in waits):8.0f} s{statistics.mean(large):8.0f} s"
            f"{overtaken(self.begun, arrivals):8}"
        )


def overtaken(begun: dict[str, float], arrivals: list[Arrival]) -> int:
    """How many started before one that came earlier."""
    count, latest = 0, -math.inf
    for arrival in arrivals:
        start = begun[arrival.job.name]
        count += start < latest
        latest = max(latest, start)
    return count


def cluster(count: int) -> tuple[Offer, ...]:
    sizes = [TEN_NODES[at % len(TEN_NODES)] for at in range(count)]
    return tuple(Offer(f"node{at}", slots, slots * 4 * GB) for at, slots in enumerate(sizes, start=1))


def arrivals(count: int, slots: int) -> list[Arrival]:
    """`count` jobs that keep LOAD of so many slots busy."""
    chance = random.Random(SEED)
    made = [a_job(chance, f"job{number}") for number in range(count)]
    work = sum(lasts * job.ask.slots for lasts, job in made)
    between = work / count / (slots * LOAD)
    at = 0.0
    arrived = []
    for lasts, job in made:
        at += chance.expovariate(1 / between)
        arrived.append(Arrival(at, lasts, job))
    return arrived


def a_job(chance: random.Random, name: str) -> tuple[float, Waiting]:
    """How long it lasts, and what is asked for it."""
    count = chance.choices((1, 2, 4, 8, 16), weights=(30, 25, 20, 15, 10))[0]
    slots = chance.choice((1, 2, 4, 8, 16))
    memory = chance.choice((1, 2, 4, 8)) * GB if chance.random() < 0.25 else 0
    lasts = math.exp(chance.uniform(math.log(60), math.log(4 * 3600)))
    timeout = lasts * chance.uniform(1, 3) if chance.random() < 0.95 else None
    if chance.random() < 0.1:
        return lasts, Waiting(name, Ranks(count * slots), timeout)
    # Every node can hold any slave.
    return lasts, Waiting(name, Ask((Need(slots, min(slots * memory, 64 * GB)),) * count), timeout)


def main(jobs: int = 10_000, count: int = 1_000) -> None:
    nodes = cluster(count)
    arriving = arrivals(jobs, sum(node.slots for node in nodes))
    since, until = arriving[jobs // 5].at, arriving[-1].at
    print(f"{jobs} jobs, {count} nodes; simulated {until / 86400:.1f} days")
    print(
        f"{'':>10}{'decisions':>10}{'mean':>11}{'99 %':>11}{'used':>9}{'fragm.':>10}"
        f"{'wait':>10}{'large':>10}{'over':>8}"
    )
    for policy in (Policy.FIRST_FIT, Policy.PACK, Policy.SPREAD):
        simulated = Cluster(nodes, policy, since, until)
        simulated.run(arriving)
        print(simulated.row(arriving), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
