"""Heartbeats of silent work: a line after 10 s, then at doubling intervals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST = 10.0


class Silence:
    """The timer of one work's heartbeats: lines such as `... what, 20 s`. `clock` gives seconds."""

    def __init__(
        self, say: Callable[[str], None], what: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._what = what
        self._clock = clock
        self._started = clock()
        self._length = FIRST
        self._end = self._started + FIRST

    def patience(self) -> float:
        """Return the seconds until a line is due."""
        return max(0.0, self._end - self._clock())

    def broken(self) -> None:
        """Say the line, if it is due."""
        now = self._clock()
        if now >= self._end:
            self._say(f"... {self._what}, {now - self._started:.0f} s")
            self._length *= 2
            self._end = now + self._length

    def ended(self) -> None:
        """Start the intervals again, since the work has shown a line of its own."""
        self._length = FIRST
        self._end = self._clock() + FIRST


@contextmanager
def told(say: Callable[[str], None], what: str) -> Iterator[None]:
    """Say heartbeats, from a thread, while the caller does long and silent work."""
    ended, silence = threading.Event(), Silence(say, what)

    def tell() -> None:
        while not ended.wait(silence.patience()):
            silence.broken()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
