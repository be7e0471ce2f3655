"""Which run has which slots of the nodes, and who waits for some: the daemon's own account."""

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
    """What a run has: its slots, its ports by node, and when it is over at the latest.

    Of a service also the app, and its processes in the order of the slots: the next run takes them over.
    """

    running: Running
    ports: frozenset[tuple[str, int]] = frozenset()
    service: str = ""
    processes: tuple[str, ...] = ()

    @classmethod
    def of(cls, placed: Allocation, now: float) -> Reservation:
        """What a run has that is on its nodes already."""
        ports = frozenset(placed.ports())
        if placed.service:
            processes = tuple(seat.process for _, seat in placed.seats())
            return cls(Running(placed.uses(), STAYS), ports, placed.app, processes)
        return cls(Running(placed.uses(), None if placed.timeout is None else now + placed.timeout), ports)


class Allocator:
    """One a daemon; any thread may ask. `nodes` tells which there are, `away` the names of those that do not
    answer; sshds listen from `first_port` on.
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
        """The job with a node and a port for each slave, once there is room; None when it was given up.

        `told` hears a sentence when there is none yet.
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
        """The job with a port for each slave on the nodes that others chose, whatever room they have."""
        uses = tuple(Use(node, need) for node, need in zip(nodes, _needs(job), strict=True))
        with self._changed:
            self._held[name] = Reservation(Running(uses))
            return self._seated(name, job, uses)

    def _taken_over(self, job: Job) -> dict[str, Use]:
        """What the run before of the same service has, by process: the next one goes where people find it."""
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
        """The job as it would be placed now, or else if nothing ran; nothing is taken for it.

        Raises:
            UnitError: it does not even fit then.
        """
        with self._changed:
            known, offers = self._taken_over(job), self._offers()
            ask = asked(job, arch, known)
            uses = place(ask, self._room(), self._policy) or place(ask, Room(offers), self._policy)
            if uses is None:
                raise UnitError(never_fits(ask, offers) or why_not(ask, offers), "see: nap nodes")
            return self._with_ports(job, _merged(job, known, uses))

    def hold(self, name: str, held: Reservation) -> None:
        """What a run has that an earlier daemon placed."""
        with self._changed:
            self._held[name] = held

    def give_back(self, name: str) -> None:
        """The run is over; whoever was granted this and waits no more too."""
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
        """Why the job could not start even if nothing else ran; empty when it could."""
        return never_fits(asked(job, arch), self._offers())

    def uses(self) -> list[Use]:
        """All slots that are taken."""
        with self._changed:
            locked = [use for held in self._held.values() if not held.service for use in held.running.uses]
            return locked + self._of_services()

    def _of_services(self) -> list[Use]:
        """Of two runs of one service the next takes over what the other has: it counts once."""
        taken: dict[str, Counter[Use]] = {}
        for held in self._held.values():
            if held.service:
                taken[held.service] = taken.get(held.service, Counter()) | Counter(held.running.uses)
        return [use for uses in taken.values() for use in uses.elements()]

    def _seated(self, name: str, job: Job, uses: Sequence[Use]) -> Job:
        """With ports, which are kept for it."""
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
    """The job whose slaves, or processes, in order, have these places and listen on these ports there."""
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
    """What the job has, in its order: what it knew of before, and else what it was granted."""
    if not known:
        return list(granted)
    rest = iter(granted)
    return [known.get(name) or next(rest) for name in _names(job)]


def _names(job: Job) -> tuple[str, ...]:
    return tuple(process.name for process in job.processes)


def _split(whole: Slave, app: str, uses: Sequence[Use]) -> list[Slave]:
    """Slaves that have the ranks of one, each as many as its place has room for."""
    made = []
    for index, use in enumerate(uses, start=1):
        cpus = use.need.slots if whole.cpus else None
        slots = use.need.slots // _cpus_per_rank(whole)
        made.append(replace(whole, index=index, name=names.slave(app, index), slots=slots, cpus=cpus))
    return made


def _cpus_per_rank(slave: Slave) -> int:
    return slave.cpus // slave.slots if slave.cpus else 1


def asked(job: Job, arch: str, known: Collection[str] = ()) -> Ask | Ranks:
    """What the job takes of nodes: a slot for each core of its slaves, or each process not `known` yet."""
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
