"""Choose the next jobs to start: they wait in order, and a job overtakes only if it cannot delay the first.

This is EASY backfilling. The first job that does not fit is promised the earliest start that the end times of
the running jobs guarantee, and its nodes are reserved. Nothing is touched: the caller passes in the time and
the running jobs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from units.placement.bin_packing import held
from units.placement.capacity import Room
from units.placement.place import Ask, Placement, Policy, Ranks, place, sizes

# The timeout of a service: it runs until somebody stops it, so no reservation waits for its end.
STAYS = math.inf


@dataclass(frozen=True)
class Waiting:
    """A job in the queue. `timeout` is in seconds: None when no end is known, `STAYS` for a service."""

    name: str
    ask: Ask | Ranks
    timeout: float | None = None

    def ends(self, now: float) -> float | None:
        """Return the latest time at which the job ends if it starts now."""
        return None if self.timeout is None else now + self.timeout


@dataclass(frozen=True)
class Running:
    """A run that holds nodes. `ends` is the latest time at which it ends: None when unknown, or `STAYS`."""

    uses: Placement
    ends: float | None = None


@dataclass(frozen=True)
class Start:
    """A job to start now, and its nodes."""

    job: Waiting
    uses: Placement


def next_to_start(
    waiting: Iterable[Waiting], running: Iterable[Running], room: Room, now: float, policy: Policy
) -> tuple[Start, ...]:
    """Return the jobs to start now, out of `waiting`, which is in queue order.

    `room` holds the resources that `running` leaves free; it is not modified. A job that would not fit even
    after all runs had ended (a node it needs is drained, a service holds its slots) blocks no other job: the
    next one counts as the first instead.
    """
    free, running = _Filling(room.copy(), policy), list(running)
    starts: list[Start] = []
    blocked: list[Waiting] = []
    reservation: _Reservation | None = None
    for job in waiting:
        uses = free.place(job.ask)
        if uses is None:
            blocked.append(job)
            continue
        if reservation is None:
            reservation = _for_the_first(blocked, running, free.room, now, policy)
            blocked.clear()
        if reservation is not None:
            uses = reservation.admit(job, uses, now)
        if uses is None:
            continue
        free.take(uses)
        if reservation is not None:
            reservation.limit(uses, free.room)
        starts.append(Start(job, uses))
        running.append(Running(uses, job.ends(now)))
    return tuple(starts)


class _Filling:
    """A room that only gets fuller, so that an ask that did not fit once is not tried again."""

    def __init__(self, room: Room, policy: Policy) -> None:
        self.room = room
        self._policy = policy
        self._failed: set[Ask | Ranks] = set()

    def place(self, ask: Ask | Ranks) -> Placement | None:
        uses = None if ask in self._failed else place(ask, self.room, self._policy)
        if uses is None:
            self._failed.add(ask)
        return uses

    def take(self, uses: Placement) -> None:
        for use in uses:
            self.room.take(use)


@dataclass(frozen=True)
class _Reservation:
    """The first job's reservation.

    A job that ends by `until` can use everything that is free, any other job only what is `spare`.
    """

    until: float
    spare: _Filling

    def admit(self, job: Waiting, anywhere: Placement, now: float) -> Placement | None:
        """Return the nodes for a job that overtakes, or None; `anywhere` are the nodes where it fits now."""
        ends = job.ends(now)
        if ends is not None and ends <= self.until:
            return anywhere
        uses = self.spare.place(job.ask)
        self.spare.take(uses or ())
        return uses

    def limit(self, uses: Placement, room: Room) -> None:
        """Lower what is spare on the nodes of `uses` to what is still free on them."""
        for use in uses:
            self.spare.room.limit(use.node, *room.left(use.node))


def _for_the_first(
    blocked: Iterable[Waiting], running: Sequence[Running], room: Room, now: float, policy: Policy
) -> _Reservation | None:
    """Return the reservation of the first blocked job that can start at all once others end."""
    reservations = (_reserve(job.ask, running, room, now, policy) for job in blocked)
    return next((found for found in reservations if found is not None), None)


def _reserve(
    ask: Ask | Ranks, running: Sequence[Running], room: Room, now: float, policy: Policy
) -> _Reservation | None:
    later = room.copy()
    for ends, run in _by_their_end(running):
        _give_back(later, run)
        if uses := place(ask, later, policy):
            return _Reservation(max(ends, now), _Filling(_without(room, later, uses), policy))
    # The known ends do not make enough room, so there is no start time to promise: no job can overtake by
    # ending early (`until` is -inf), and all nodes that are of use to the ask are kept for it.
    for run in running:
        if run.ends is None:
            _give_back(later, run)
    if place(ask, later, policy) is None:
        return None
    return _Reservation(-math.inf, _Filling(_out_of_the_way(room, later, ask), policy))


def _by_their_end(running: Sequence[Running]) -> list[tuple[float, Running]]:
    known = [(run.ends, run) for run in running if run.ends is not None and run.ends != STAYS]
    return sorted(known, key=lambda pair: pair[0])


def _give_back(room: Room, run: Running) -> None:
    for use in run.uses:
        room.give_back(use)


def _without(room: Room, later: Room, uses: Placement) -> Room:
    """Return what is free now and is not needed when `uses` begin. Modifies `later`."""
    spare = room.copy()
    for use in uses:
        later.take(use)
    for use in uses:
        spare.limit(use.node, *later.left(use.node))
    return spare


def _out_of_the_way(room: Room, later: Room, ask: Ask | Ranks) -> Room:
    """Return what is free now on nodes that are of no use to `ask`, which waits for runs of unknown end."""
    spare = room.copy()
    for node in room.nodes:
        if node.arch == ask.arch and any(held(need, *later.left(node.name)) for need in sizes(ask)):
            spare.limit(node.name, 0, 0)
    return spare
