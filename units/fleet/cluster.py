"""The units of runs in fleet, on record from before the first is submitted until the last is destroyed.

The record is in the run's folder while the run can need its units, then in the folder of pending cleanups.
Cleanup is retried until all are destroyed. Unit names contain the run's number: no other run waits for it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from units import durable
from units.errors import UnitError
from units.fleet import waiting
from units.fleet.client import FleetClient, FleetMachine
from units.job import UnitFile
from units.node_runs.run_lock import locked

_RECORD = "fleet.json"


class Cluster:
    """The units of all runs, one object a daemon. Any thread can use it.

    `owed` is the folder of pending cleanups. `within` is the time in seconds in which fleet has to find
    machines, `every` that between two attempts at the pending cleanups.
    """

    def __init__(self, client: FleetClient, owed: Path, within: float, every: float) -> None:
        self._client = client
        self._pending = owed
        self._within = within
        self._every = every
        self._paying = threading.Lock()
        self._due = threading.Event()

    def load(
        self, run: Path, units: Sequence[UnitFile], given_up: Callable[[], bool]
    ) -> Mapping[str, FleetMachine] | None:
        """Submit the units without starting them. Return each unit's machine by its name; None if cancelled.

        Raises:
            UnitError: fleet does not answer, has a unit of such a name already, or no machine for one.
        """
        with locked(run):
            self._give_up(run)
            # Destroy what a receiver that was killed had submitted of this run.
            self._pay(self._debt(run))
            self._refuse_taken(units)
            # The record comes first: a crash leaves no unit without one.
            durable.write(run / _RECORD, json.dumps([unit.name for unit in units]))
            for unit in units:
                self._client.submit(unit, "loaded")
        return waiting.until_placed(self._client, units, self._within, given_up)

    def launch(self, names: Collection[str]) -> None:
        for name in names:
            self._client.want(name, "launched")

    def destroy(self, run: Path) -> None:
        """Destroy all units of the run. While fleet does not answer, this stays a pending cleanup."""
        with locked(run):
            self._give_up(run)
        try:
            self._pay(self._debt(run))
        except UnitError:
            self._due.set()

    def begin(self) -> None:
        """Start the thread that retries pending cleanups for the life of this process."""
        self._due.set()
        threading.Thread(target=self._keep, name="fleet", daemon=True).start()

    def _keep(self) -> None:
        while self._due.wait():
            self._due.clear()
            for record in sorted(self._pending.glob("*.json")):
                try:
                    self._pay(record)
                except (UnitError, OSError, ValueError):  # one that fails keeps no other waiting
                    self._due.set()
            if self._due.is_set():
                threading.Event().wait(self._every)

    def _pay(self, record: Path) -> None:
        """Destroy the units on a record, then remove it. Raise UnitError when fleet does not answer."""
        with self._paying:
            if record.exists():
                for name in json.loads(record.read_text()):
                    self._client.destroy(name)
                record.unlink()

    def _give_up(self, run: Path) -> None:
        """Move the run's record, if there is one, to the pending cleanups."""
        self._pending.mkdir(exist_ok=True)
        if (run / _RECORD).exists():
            (run / _RECORD).rename(self._debt(run))

    def _debt(self, run: Path) -> Path:
        return self._pending / f"{run.parent.name}.{run.name}.json"

    def _refuse_taken(self, units: Sequence[UnitFile]) -> None:
        """Raise UnitError when fleet has one of these units already.

        Called before the names are on record: the cleanup would destroy another owner's unit.
        """
        there = {unit.name for unit in self._client.units()}
        if taken := next((unit.name for unit in units if unit.name in there), ""):
            raise UnitError(f"fleet has a unit {taken} already", f"fleetctl destroy {taken}")
