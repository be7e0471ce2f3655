"""The backend of units as processes of a capsule, children of the runner."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from typing import Any

from units.capsule import inside
from units.local import requests
from units.local.spawn import Ends, spawn
from units.supervisor import children, record
from units.supervisor.backend import Change, Changes, Streams
from units.supervisor.unit import Unit


class ProcessBackend:
    """A `Backend`. What a slave started ends with it, and everything ends with the runner."""

    over_ssh = False

    def __init__(self, folder: str, spec: dict[str, Any], streams: Streams) -> None:
        self._folder = folder
        self._spec = spec
        self._streams = streams
        self._capsule = inside.of_kind(spec["capsule"], spec["shim"])
        self._running: dict[int, Unit] = {}
        self._stopped: set[int] = set()
        self._changes = Changes()
        self._reports, self._report = os.pipe()
        os.set_blocking(self._reports, False)
        self._poll = select.epoll()
        for wakes in (self._changes.wakes, self._reports):
            self._poll.register(wakes, select.EPOLLIN)
        self.wakes = self._poll.fileno()

    def arrange(self, units: list[Unit]) -> None:
        for place in dict.fromkeys(unit.place for unit in units):
            self._capsule.place(self._spec["tree"], f"{self._folder}/places/{place}")
        if self._spec["own_network"]:
            self._capsule.own_network()
        # The rest of the run's folder is nap's own: the runner reaches it through its working directory.
        writable, read_only = ["app", "share", "tmp"], []
        if slaves := [unit.place for unit in units if unit.is_slave]:
            requests.make_folders(slaves)
            writable, read_only = [*writable, requests.FOLDER], ["hostfile", "agent"]
        inside, fixed = ([f"{self._folder}/{name}" for name in names] for names in (writable, read_only))
        self._capsule.arrange(self._spec["home"], inside, [*fixed, *self._spec["visible"]], "hosts")
        children.wake(self._changes.writable)

    def start(self, unit: Unit) -> None:
        """Start a unit. It is ready once executed: agents that call a slave wait until it answers."""
        try:
            if unit.is_slave:
                requests.open_in(unit.place)
            output = self._streams.log if unit.is_slave else self._streams.output
            ends = Ends(output, self._streams.log, self._report)
            pid = spawn(unit, self._capsule, self._folder, ends)
        except OSError as error:
            raise OSError(f"{unit.argv[0]}: {error}") from error
        self._running[pid] = unit
        record.note_unit(unit.name, pid)
        self._changes.add(Change(unit, "up"), Change(unit, "ready", unit.value))

    def changes(self) -> Iterator[Change]:
        yield from self._changes.take()
        yield from self._reported()
        for pid, code, stands_still in children.changes():
            if stands_still:
                self._stopped.add(pid)
            else:
                self._stopped.discard(pid)
            if code is not None and pid in self._running:
                yield Change(self._running.pop(pid), "ended", code=code)

    def _reported(self) -> Iterator[Change]:
        """Yield the slaves' reports on mpirun's daemons. Each line is one write, so lines arrive whole."""
        slaves = {unit.hostname: unit for unit in self._running.values() if unit.is_slave}
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._reports, 1 << 16).decode(errors="replace").splitlines():
                name, _, word = line.partition(" ")
                if name in slaves:
                    yield Change(slaves[name], "daemon", word)

    def alive(self) -> list[str]:
        return [unit.key for pid, unit in self._running.items() if pid not in self._stopped]

    def is_ending(self, unit: Unit) -> bool:
        return children.is_ending(self._pid(unit))

    def answers(self, unit: Unit) -> bool:
        return True

    def terminate(self, unit: Unit) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid(unit), signal.SIGTERM)

    def _pid(self, unit: Unit) -> int:
        return next(pid for pid, other in self._running.items() if other.name == unit.name)

    def end_slave(self, unit: Unit, status: int) -> None:
        self._capsule.end_slave(unit)
        requests.close_in(unit.place, status)

    def remark(self) -> str:
        return ""

    def end(self) -> None:
        self._capsule.end()

    def clean_up(self) -> None:
        """Do nothing: what `end` left, the kernel ends with the runner."""
