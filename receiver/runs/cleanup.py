"""Pending cleanup of runs: a record from before anything of a run is started until all of it is removed.

A run's end is reported as soon as its outcome, its log and its results are on disk; its remains are removed
concurrently. If the process dies meanwhile, the record leads the next receiver, `nap down` or `nap destroy`
to what is left.
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

RECORD = ".run"  # pending cleanup of nodes is in the same folder


class PendingCleanup:
    """The records of one home. Several threads and processes of nap can use them at the same time."""

    def __init__(self, home: Home, engine: Engine) -> None:
        self._home = home
        self._engine = engine
        self._failed: set[tuple[str, int]] = set()

    def record(self, app: str, number: int) -> None:
        """Add a record, before anything is started. It is as durable as the ledger's next write."""
        self._home.owed.mkdir(exist_ok=True)
        self._path(app, number).touch(mode=0o600)

    def _path(self, app: str, number: int) -> Path:
        return self._home.owed / f"{app}.{number}{RECORD}"

    def recorded(self, app: str = "*") -> list[tuple[str, int]]:
        """Return apps and numbers of the recorded runs, of one app or of all, ended or not."""
        found = self._home.owed.glob(f"{app}.*{RECORD}")
        names = (path.name.removesuffix(RECORD) for path in found)
        split = (name.rpartition(".") for name in names)
        return sorted((app, int(number)) for app, _, number in split)

    def run(self, app: str, number: int) -> None:
        """Remove what is left of a run that has ended. Wait while another thread or process does that.

        Raise UnitError or OSError when it cannot be removed now; the record stays.
        """
        try:
            held = os.open(self._path(app, number), os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            # Another thread can have finished while this one waited: cleaning up twice does no harm.
            fcntl.flock(held, fcntl.LOCK_EX)
            self._engine.clean_up(Handle(self._home.run(app, number)))
            self._path(app, number).unlink(missing_ok=True)
        finally:
            os.close(held)

    def run_each(self, runs: Iterable[tuple[str, int]], failed: Callable[[str], None]) -> None:
        """Do the same for several runs. Call `failed` with the reason for each that cannot be removed now."""
        for app, number in runs:
            try:
                self.run(app, number)
            except (UnitError, OSError) as error:
                self._failed.add((app, number))
                failed(f"what is left of {app} run {number} is removed later: {error}")

    def take_failed(self) -> set[tuple[str, int]]:
        """Return and forget the runs whose removal failed: the caller has to try them again."""
        taken, self._failed = self._failed, set()
        return taken
