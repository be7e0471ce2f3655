"""Units as processes of a capsule, children of the runner."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from units.local import capsule, requests
from units.local.spawn import spawn
from units.running import children, record
from units.running.ground import Change, Changes, Streams
from units.running.unit import Unit


class Processes:
    """A `Ground`. What a unit started is ended with it, and all of it with the runner."""

    def __init__(self, folder: str, spec: dict[str, Any], streams: Streams) -> None:
        self._folder = folder
        self._spec = spec
        self._streams = streams
        self._capsule = capsule.of_kind(spec["capsule"], spec["shim"])
        self._running: dict[int, Unit] = {}
        self._stopped: set[int] = set()
        self._changes = Changes()
        self.wakes = self._changes.wakes

    def arrange(self, units: list[Unit]) -> None:
        for place in dict.fromkeys(unit.place for unit in units):
            self._capsule.place(self._spec["tree"], f"{self._folder}/places/{place}")
        if self._spec["own_network"]:
            self._capsule.own_network()
        self._capsule.arrange(self._spec["home"], [self._folder], self._spec["visible"], "hosts")
        os.chdir(self._folder)
        children.wake(self._changes.writable)

    def start(self, unit: Unit) -> None:
        """It is ready as soon as it is executed: whoever calls a slave waits until it answers."""
        try:
            if unit.is_slave:
                requests.open_in(f"places/{unit.place}")
            output = self._streams.log if unit.is_slave else self._streams.output
            pid = spawn(unit, self._capsule, self._folder, output, self._streams.log)
        except OSError as error:
            raise OSError(f"{unit.argv[0]}: {error}") from error
        self._running[pid] = unit
        record.note_unit(unit.name, pid)
        self._changes.add(Change(unit, "up"), Change(unit, "ready", unit.value))

    def changes(self) -> Iterator[Change]:
        yield from self._changes.take()
        for pid, code, stands_still in children.changes():
            if stands_still:
                self._stopped.add(pid)
            else:
                self._stopped.discard(pid)
            if code is not None and pid in self._running:
                yield Change(self._running.pop(pid), "ended", code=code)

    def alive(self) -> list[str]:
        return [unit.key for pid, unit in self._running.items() if pid not in self._stopped]

    def is_ending(self, unit: Unit) -> bool:
        return children.is_ending(self._pid(unit))

    def terminate(self, unit: Unit) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid(unit), signal.SIGTERM)

    def _pid(self, unit: Unit) -> int:
        return next(pid for pid, other in self._running.items() if other.name == unit.name)

    def end_slave(self, unit: Unit, status: int) -> None:
        self._capsule.end_slave(unit)
        requests.close_in(f"places/{unit.place}", status)

    def remark(self) -> str:
        return ""

    def end(self) -> None:
        self._capsule.end()
