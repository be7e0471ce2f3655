"""What is left to be removed of runs: on record from before anything of a run is started until it is gone.

A run's end is told as soon as its outcome, its log and its results are on the disk; what it had is removed
beside that, and whatever dies meanwhile, somebody finds the record: the receiver when it comes back,
`nap down`, `nap destroy`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from receiver.home.paths import Home
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle

RECORD = ".run"  # beside what is owed of nodes


class PendingCleanup:
    """The records of one home: any thread, and any process of nap, may use them at the same time."""

    def __init__(self, home: Home, engine: Engine) -> None:
        self._home = home
        self._engine = engine
        self._failed: set[tuple[str, int]] = set()

    def record(self, app: str, number: int) -> None:
        """Before anything is started. It lasts as what the ledger writes after it does."""
        self._home.owed.mkdir(exist_ok=True)
        self._path(app, number).touch(mode=0o600)

    def _path(self, app: str, number: int) -> Path:
        return self._home.owed / f"{app}.{number}{RECORD}"

    def recorded(self, app: str = "*") -> list[tuple[str, int]]:
        """Apps and numbers of runs, of one app or of all; those that have not ended yet are among them."""
        found = self._home.owed.glob(f"{app}.*{RECORD}")
        names = (path.name.removesuffix(RECORD) for path in found)
        split = (name.rpartition(".") for name in names)
        return sorted((app, int(number)) for app, _, number in split)

    def run(self, app: str, number: int) -> None:
        """Remove what is left of a run that has ended, or wait for whoever is at it.

        UnitError or OSError when that cannot be done now; it stays on record.
        """
        try:
            held = os.open(self._path(app, number), os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            self._engine.clean_up(Handle(self._home.run(app, number)))
            self._path(app, number).unlink(missing_ok=True)
        finally:
            os.close(held)

    def run_each(self, runs: Iterable[tuple[str, int]], failed: Callable[[str], None]) -> None:
        """The same for several; of each where it cannot be done `failed` hears why."""
        for app, number in runs:
            try:
                self.run(app, number)
            except (UnitError, OSError) as error:
                self._failed.add((app, number))
                failed(f"what is left of {app} run {number} is removed later: {error}")

    def take_failed(self) -> set[tuple[str, int]]:
        """Those that could not be removed when it was tried: to be tried again by the caller."""
        taken, self._failed = self._failed, set()
        return taken
