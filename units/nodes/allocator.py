"""The daemon's accounting of node slots: which run has which, and which jobs wait."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from units import names
from units.errors import UnitError
from units.job import Job, Process, Slave
from units.nodes.allocation import Allocation
from units.nodes.node import Node
from units.placement.backfill import STAYS, Running, Waiting, next_to_start
from units.placement.capacity import Need, Offer, Room, Use
from units.placement.explain import never_fits, why_not
from units.placement.place import Ask, Policy, Ranks, place

_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Reservation:
    """What a run holds: its slots, its ports by node, and its latest end.

    For a service also the app, and its processes in the order of the slots, which its next run takes over.
    """

    running: Running
    ports: frozenset[tuple[str, int]] = frozenset()
    service: str = ""
    processes: tuple[str, ...] = ()

    @classmethod
    def of(cls, placed: Allocation, now: float) -> Reservation:
        """Return the reservation of a run that is on its nodes. `now` is monotonic time in seconds.

        The start is not on record, so the timeout counts from `now`: an upper bound of the end.
        """
        ports = frozenset(placed.ports())
        if placed.service:
            processes = tuple(seat.process for _, seat in placed.seats())
            return cls(Running(placed.uses(), STAYS), ports, placed.app, processes)
        return cls(Running(placed.uses(), None if placed.timeout is None else now + placed.timeout), ports)


class Allocator:
    """The allocator of a daemon, safe to use from any thread.

    `nodes` returns the nodes, `away` the names of those that do not answer. Each slave or process gets the
    lowest free port of its node, from `first_port` on.
    """

    def __init__(
        self,
        nodes: Callable[[], Sequence[Node]],
        policy: Policy,
        first_port: int,
        away: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._nodes = nodes
        self._policy = policy
        self._first_port = first_port
        self._away = away
        self._held: dict[str, Reservation] = {}
        self._waiting: list[Waiting] = []
        self._granted: dict[str, tuple[Use, ...]] = {}
        self._changed = threading.Condition()

    def take(
        self, name: str, job: Job, arch: str, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """Wait for room, and return the job with a node and a port for each slave.

        `told` is called with the reason when the job has to wait. Return None when `given_up` becomes true.
        """
        with self._changed:
            known = self._taken_over(job)
            ask = asked(job, arch, known)
            if isinstance(ask, Ask) and not ask.needs:
                return self._seated(name, job, _merged(job, known, ()))
            waiting = Waiting(name, ask, STAYS if job.service else job.timeout)
            self._waiting.append(waiting)
            try:
                self._start_who_can()
                if name not in self._granted:
                    told(why_not(ask, self._offers(), self.uses()) or "jobs that came first go first")
                # `given_up`, timeouts and the states of nodes notify nobody, so they are polled.
                while name not in self._granted and not given_up():
                    self._changed.wait(_BETWEEN_LOOKS)
                    self._start_who_can()
                if name not in self._granted:
                    return None
                return self._seated(name, job, _merged(job, known, self._granted.pop(name)))
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)

    def seat(self, name: str, job: Job, nodes: Sequence[str]) -> Job:
        """Return the job with ports on the nodes that another scheduler chose, whatever room they have."""
        uses = tuple(Use(node, need) for node, need in zip(nodes, _needs(job), strict=True))
        with self._changed:
            self._held[name] = Reservation(Running(uses))
            return self._seated(name, job, uses)

    def _taken_over(self, job: Job) -> dict[str, Use]:
        """Return the places on open nodes that the service's previous run has, by process.

        The next run keeps them, so that users find the service where it was.
        """
        open_ = {node.name for node in self._offers() if not node.closed}
        names = {process.name for process in job.processes if job.service}
        return {
            process: use
            for held in self._held.values()
            if held.service == job.app
            for process, use in zip(held.processes, held.running.uses, strict=True)
            if use.node in open_ and process in names
        }

    def planned(self, job: Job, arch: str) -> Job:
        """Return the job as it would be placed now, else as if nothing ran. Nothing is reserved.

        Raise UnitError when it does not fit even then.
        """
        with self._changed:
            known, offers = self._taken_over(job), self._offers()
            ask = asked(job, arch, known)
            uses = place(ask, self._room(), self._policy) or place(ask, Room(offers), self._policy)
            if uses is None:
                raise UnitError(never_fits(ask, offers) or why_not(ask, offers), "see: nap nodes")
            return self._with_ports(job, _merged(job, known, uses))

    def hold(self, name: str, held: Reservation) -> None:
        """Register the reservation of a run that an earlier daemon placed."""
        with self._changed:
            self._held[name] = held

    def give_back(self, name: str) -> None:
        """Release what the run holds, and also a grant that a cancelled waiter did not pick up."""
        with self._changed:
            self._held.pop(name, None)
            self._granted.pop(name, None)
            self._changed.notify_all()

    def _start_who_can(self) -> None:
        now = time.monotonic()
        running = [held.running for held in self._held.values()]
        for start in next_to_start(self._waiting, running, self._room(), now, self._policy):
            self._waiting.remove(start.job)
            self._held[start.job.name] = Reservation(Running(start.uses, start.job.ends(now)))
            self._granted[start.job.name] = start.uses
            self._changed.notify_all()

    def _room(self) -> Room:
        return Room(self._offers(), self.uses())

    def _offers(self) -> tuple[Offer, ...]:
        away = self._away()
        return tuple(offer(node, node.name in away) for node in self._nodes())

    def never_fits(self, job: Job, arch: str) -> str:
        """Return why the job could not start even if nothing else ran, or "" when it could."""
        return never_fits(asked(job, arch), self._offers())

    def uses(self) -> list[Use]:
        """Return all slots and memory in use."""
        with self._changed:
            locked = [use for held in self._held.values() if not held.service for use in held.running.uses]
            return locked + self._of_services()

    def _of_services(self) -> list[Use]:
        """Return the uses of services. Places that a service's next run takes over (`|`) count once."""
        taken: dict[str, Counter[Use]] = {}
        for held in self._held.values():
            if held.service:
                taken[held.service] = taken.get(held.service, Counter()) | Counter(held.running.uses)
        return [use for uses in taken.values() for use in uses.elements()]

    def _seated(self, name: str, job: Job, uses: Sequence[Use]) -> Job:
        """Return the job with nodes and ports, and record these as reserved."""
        placed = self._with_ports(job, uses)
        ports = {(slave.node, slave.port) for slave in placed.slaves}
        ports |= {(process.node, process.inner) for process in placed.processes}
        service, processes = (job.app, _names(job)) if job.service else ("", ())
        ends = STAYS if job.service else self._held[name].running.ends
        self._held[name] = Reservation(Running(tuple(uses), ends), frozenset(ports), service, processes)
        return placed

    def _with_ports(self, job: Job, uses: Sequence[Use]) -> Job:
        taken = {port for held in self._held.values() for port in held.ports}
        ports: list[int] = []
        for use in uses:
            ports.append(next(port for port in count(self._first_port) if (use.node, port) not in taken))
            taken.add((use.node, ports[-1]))
        return seated(job, uses, ports, self._nodes())


def seated(job: Job, uses: Sequence[Use], ports: Sequence[int], nodes: Iterable[Node]) -> Job:
    """Return the job with these places and ports for its slaves or processes, in order."""
    addresses = {node.name: node.address for node in nodes}
    if job.processes:
        return replace(job, processes=_processes_at(job, uses, ports, addresses))
    slaves = _split(job.slaves[0], job.app, uses) if job.splits else job.slaves
    placed = tuple(
        replace(slave, node=use.node, address=addresses.get(use.node, ""), port=port)
        for slave, use, port in zip(slaves, uses, ports, strict=True)
    )
    return replace(job, slaves=placed, splits=False)


def _processes_at(
    job: Job, uses: Sequence[Use], ports: Sequence[int], addresses: Mapping[str, str]
) -> tuple[Process, ...]:
    return tuple(
        replace(process, node=use.node, address=addresses.get(use.node, ""), inner=port)
        for process, use, port in zip(job.processes, uses, ports, strict=True)
    )


def _merged(job: Job, known: Mapping[str, Use], granted: Sequence[Use]) -> list[Use]:
    """Return the job's places in its order: the ones taken over, else the granted ones."""
    if not known:
        return list(granted)
    rest = iter(granted)
    return [known.get(name) or next(rest) for name in _names(job)]


def _names(job: Job) -> tuple[str, ...]:
    return tuple(process.name for process in job.processes)


def _split(whole: Slave, app: str, uses: Sequence[Use]) -> list[Slave]:
    """Split one slave's ranks into one slave per place, each with the ranks that its place has room for."""
    made = []
    for index, use in enumerate(uses, start=1):
        cpus = use.need.slots if whole.cpus else None
        slots = use.need.slots // _cpus_per_rank(whole)
        made.append(replace(whole, index=index, name=names.slave(app, index), slots=slots, cpus=cpus))
    return made


def _cpus_per_rank(slave: Slave) -> int:
    return slave.cpus // slave.slots if slave.cpus else 1


def asked(job: Job, arch: str, known: Collection[str] = ()) -> Ask | Ranks:
    """Return the request for nodes: a slot for each core of its slaves, or each process not yet `known`."""
    if job.processes:
        return Ask(tuple(Need(1) for name in _names(job) if name not in known), arch, "processes")
    if job.splits:
        (whole,) = job.slaves
        return Ranks(whole.slots, _cpus_per_rank(whole), whole.memory or 0, arch)
    return Ask(_needs(job), arch)


def _needs(job: Job) -> tuple[Need, ...]:
    return tuple(Need(slave.cpus or slave.slots, slave.memory or 0) for slave in job.slaves)


def offer(node: Node, away: bool = False) -> Offer:
    closed = "away" if away else "drained" if node.drained else ""
    return Offer(node.name, node.slots, node.memory, node.arch, closed)
