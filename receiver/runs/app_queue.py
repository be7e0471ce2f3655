"""One run of an app at a time, in the order in which they were accepted."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """A line for each app. Every run that entered has to leave."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}
        self._changed = threading.Condition(threading.RLock())

    def enter(self, app: str, number: int) -> None:
        with self._changed:
            self._lines.setdefault(app, []).append(number)

    def leave(self, app: str, number: int) -> None:
        """Let the next one go; a run that left before is left out."""
        with self._changed:
            line = self._lines.get(app, [])
            if number in line:
                line.remove(number)
            self._changed.notify_all()

    def wake(self) -> None:
        """Have everybody who waits ask again whether it was cancelled."""
        with self._changed:
            self._changed.notify_all()

    def before(self, app: str, number: int) -> list[int]:
        """The runs that go first."""
        with self._changed:
            line = self._lines.get(app, [])
            return line[: line.index(number)] if number in line else []

    def wait(self, app: str, number: int, cancelled: Callable[[], bool], seconds: float | None) -> bool:
        """Whether nobody goes first any more, or the run was cancelled, within `seconds` (None: ever)."""
        with self._changed:
            return self._changed.wait_for(lambda: cancelled() or not self.before(app, number), seconds)
