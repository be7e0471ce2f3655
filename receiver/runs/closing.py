"""Ends that could not be recorded when they came, since there was no room: they are, once there is some."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from receiver.ledger.ledger import Run

_SOONEST, _LATEST = 1.0, 30.0


class Closing:
    """One a daemon. Its thread is there only while an end waits to be recorded."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._at_work = False

    def add(self, run: Run, record: Callable[[], None]) -> None:
        """`record` is called until it raises nothing."""
        with self._lock:
            self._waiting[run.app, run.number] = record
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._work, name="closing", daemon=True).start()

    def try_now(self, run: Run) -> None:
        """Somebody asks for the end of this run, where it waits."""
        with self._lock:
            self._try((run.app, run.number))

    def drop(self, app: str) -> None:
        """It is gone, and its runs' numbers may be given again."""
        with self._lock:
            for key in [key for key in self._waiting if key[0] == app]:
                del self._waiting[key]

    def _work(self) -> None:
        pause = _SOONEST
        while True:
            threading.Event().wait(pause)
            pause = min(2 * pause, _LATEST)
            with self._lock:
                for key in list(self._waiting):
                    self._try(key)
                if not self._waiting:
                    self._at_work = False
                    return

    def _try(self, key: tuple[str, int]) -> None:
        try:
            if record := self._waiting.get(key):
                record()
                del self._waiting[key]
        except Exception as error:
            print(f"the end of {key[0]} run {key[1]} is not recorded yet: {error}", file=sys.stderr)
