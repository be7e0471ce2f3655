"""Delays before crashed units are started again."""

from __future__ import annotations

import time
from collections.abc import Callable

from units.supervisor.unit import Unit

STEADY = 60.0
LONGEST = 60.0


class Restarts:
    """Units that wait for their next start: 1 s, doubled with each crash, 60 s at most.

    A unit that lived for 60 s starts again with a delay of 1 s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[str, float] = {}
        self._due: list[tuple[float, Unit]] = []

    def add(self, unit: Unit, lived: float) -> float:
        """Schedule `unit`, which lived for `lived` seconds, and return the seconds until its next start."""
        before = 0.0 if lived >= STEADY else self._pauses.get(unit.name, 0.0)
        pause = min(LONGEST, before * 2 or 1.0)
        self._pauses[unit.name] = pause
        self._due.append((self._clock() + pause, unit))
        return pause

    def take_due(self) -> list[Unit]:
        now = self._clock()
        due = [unit for moment, unit in self._due if moment <= now]
        self._due = [(moment, unit) for moment, unit in self._due if moment > now]
        return due

    @property
    def left(self) -> float:
        """The seconds until the next unit is due, infinity when none waits."""
        return max(0.0, min((moment for moment, _ in self._due), default=float("inf")) - self._clock())
