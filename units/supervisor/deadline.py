"""A run's outcome and its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Outcome = dict[str, Any]


class Ending:
    """A run's end: only the first outcome counts, and `within` never moves the deadline later.

    Times are in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self.outcome: Outcome | None = None

    def settle(self, exit_code: int, reason: str = "", state: str = "ended") -> None:
        if self.outcome is None:
            self.outcome = {"exit_code": exit_code, "reason": reason, "state": state}

    def within(self, seconds: float) -> None:
        last = self._clock() + seconds
        self._last = last if self._last is None else min(self._last, last)

    def extend(self) -> None:
        """Remove the deadline, so that `within` can set a later one."""
        self._last = None

    @property
    def left(self) -> float:
        """The seconds until the deadline: 0.0 once it has passed, infinity without one."""
        return float("inf") if self._last is None else max(0.0, self._last - self._clock())
