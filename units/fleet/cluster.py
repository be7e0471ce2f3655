"""What runs have in fleet: on record from before the first unit is submitted until the last one is destroyed.

A record is in the run's folder while the run may need its units, and then among those that are owed; a fleet
that does not answer is asked again until nothing is owed. Units carry their run's number in their names, so
no other run waits for that.
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
    """One a daemon; any thread may use it.

    `within` are the seconds that fleet has for finding machines, `every` those between two tries to have it
    destroy what is owed.
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
        """The machine that fleet has put each unit on, by its name; None when it was given up.

        Raises:
            UnitError: fleet does not answer, has a unit of such a name already, or no machine for one.
        """
        with locked(run):
            self._give_up(run)
            # A receiver that was killed may have submitted some of them.
            self._pay(self._debt(run))
            self._refuse_taken(units)
            durable.write(run / _RECORD, json.dumps([unit.name for unit in units]))
            for unit in units:
                self._client.submit(unit, "loaded")
        return waiting.until_placed(self._client, units, self._within, given_up)

    def launch(self, names: Collection[str]) -> None:
        for name in names:
            self._client.want(name, "launched")

    def destroy(self, run: Path) -> None:
        """All that the run has in fleet; what fleet does not answer to is tried again."""
        with locked(run):
            self._give_up(run)
        try:
            self._pay(self._debt(run))
        except UnitError:
            self._due.set()

    def begin(self) -> None:
        """Try again, from now on as long as this process lives."""
        self._due.set()
        threading.Thread(target=self._keep, name="fleet", daemon=True).start()

    def _keep(self) -> None:
        while self._due.wait():
            self._due.clear()
            try:
                for record in sorted(self._pending.glob("*.json")):
                    self._pay(record)
            except UnitError:
                threading.Event().wait(self._every)
                self._due.set()

    def _pay(self, record: Path) -> None:
        """Destroy what is owed. UnitError when fleet does not answer."""
        with self._paying:
            if record.exists():
                for name in json.loads(record.read_text()):
                    self._client.destroy(name)
                record.unlink()

    def _give_up(self, run: Path) -> None:
        """From here on its units are owed."""
        self._pending.mkdir(exist_ok=True)
        if (run / _RECORD).exists():
            (run / _RECORD).rename(self._debt(run))

    def _debt(self, run: Path) -> Path:
        return self._pending / f"{run.parent.name}.{run.name}.json"

    def _refuse_taken(self, units: Sequence[UnitFile]) -> None:
        """Before any is submitted: what is somebody else's must never be destroyed."""
        there = {unit.name for unit in self._client.units()}
        if taken := next((unit.name for unit in units if unit.name in there), ""):
            raise UnitError(f"fleet has a unit {taken} already", f"fleetctl destroy {taken}")
