"""Turns of the runs of each app: one at a time, in the order of acceptance."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """A queue for each app. Every run that entered must leave."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}
        self._changed = threading.Condition(threading.RLock())

    def enter(self, app: str, number: int) -> None:
        with self._changed:
            self._lines.setdefault(app, []).append(number)

    def leave(self, app: str, number: int) -> None:
        """Remove a run and let the next one go. No effect for a run that left before."""
        with self._changed:
            line = self._lines.get(app, [])
            if number in line:
                line.remove(number)
            self._changed.notify_all()

    def wake(self) -> None:
        """Make all waiting threads check again whether their run was cancelled."""
        with self._changed:
            self._changed.notify_all()

    def before(self, app: str, number: int) -> list[int]:
        """Return the numbers of the runs ahead of this one, in order."""
        with self._changed:
            line = self._lines.get(app, [])
            return line[: line.index(number)] if number in line else []

    def wait(self, app: str, number: int, cancelled: Callable[[], bool], seconds: float | None) -> bool:
        """Return True once no run is ahead or this one is cancelled, False after `seconds` (None: never)."""
        with self._changed:
            return self._changed.wait_for(lambda: cancelled() or not self.before(app, number), seconds)
