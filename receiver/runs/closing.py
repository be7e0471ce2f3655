"""Retries recording the ends of runs that could not be recorded at once because the disk was full."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from receiver.ledger.ledger import Run

_SOONEST, _LATEST = 1.0, 30.0  # seconds between retries


class Closing:
    """One per daemon. Its thread exists only while an end waits to be recorded."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._at_work = False

    def add(self, run: Run, record: Callable[[], None]) -> None:
        """Call `record` in a thread until it raises nothing."""
        with self._lock:
            self._waiting[run.app, run.number] = record
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._work, name="closing", daemon=True).start()

    def try_now(self, run: Run) -> None:
        """Try to record the end of this run now, if it waits."""
        with self._lock:
            self._try((run.app, run.number))

    def drop(self, app: str) -> None:
        """Forget the waiting ends of a destroyed app: an app of that name can use its run numbers again."""
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
                # Under the lock: an `add` after this starts a new thread.
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
