"""Write announced keys to etcd, and keep them there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from registry.discovery.table import Announced, TableWork
from registry.errors import RegistryError
from registry.etcd.store import Store
from registry.timing import Timing


class Writer:
    """Writes announcements and withdrawals at once, and refreshes live keys every `refresh` seconds.

    While etcd is down nothing is lost: all work is retried every `retry` seconds, with a store that `connect`
    opens anew, since etcd can have moved.
    """

    def __init__(
        self,
        announced: Announced,
        connect: Callable[[], Store],
        timing: Timing,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._announced = announced
        self._connect = connect
        self._timing = timing
        self._say = say
        self._clock = clock
        self._store: Store | None = None
        self._next_refresh = clock()
        self._trouble = ""

    def run(self) -> None:
        """Write until the table is closed, and then what was announced before that."""
        closed = False
        while not closed:
            closed = self.step()

    def step(self) -> bool:
        """Wait for work and do it. Return True when the table is closed."""
        work = self._announced.take(self._next_refresh - self._clock())
        if self._clock() >= self._next_refresh:
            work = replace(work, refreshes=self._announced.seen())
            self._next_refresh = self._clock() + self._timing.refresh
        try:
            self._do(work)
        except RegistryError as error:
            self._postpone(work, error)
            return self._announced.wait_closed(self._timing.retry)
        if self._trouble:
            self._say("etcd is back.")
            self._trouble = ""
        return self._announced.wait_closed(0)

    def _do(self, work: TableWork) -> None:
        if self._store is None:
            self._store = self._connect()
            self._store.ping()
        store = self._store
        ttl = self._timing.ttl
        self._write(store.remove_all, work.removals)
        self._write(lambda entries: store.put_all(entries, ttl), work.puts)
        self._write(lambda entries: store.refresh_all(entries, ttl), work.refreshes)

    def _write(
        self, write: Callable[[Mapping[str, str]], None], entries: Mapping[str, str]
    ) -> None:
        """Write all entries together. When etcd refuses, write each alone: one bad key stops no other."""
        try:
            if entries:
                write(entries)
        except RegistryError as error:
            if error.retry:
                raise
            if len(entries) == 1:
                self._say(f"{next(iter(entries))} is left out: {error.message}")
                return
            for key, value in entries.items():
                self._write(write, {key: value})

    def _postpone(self, work: TableWork, error: RegistryError) -> None:
        if error.message != self._trouble:
            self._say(f"{error.message} Trying again every {self._timing.retry:g} s.")
            self._trouble = error.message
        self._announced.give_back(work)
        self._store = None
        self._next_refresh = self._clock()
