"""Units as containers: a life each, on a network of their app's own."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from units.containers import access, leftovers, network, results
from units.containers.attached import AttachedLife
from units.containers.life import Around, Life
from units.containers.runtime import Runtime
from units.containers.slave import SlaveLife
from units.running.ground import Change, Changes, Streams
from units.running.unit import Unit


class Containers:
    """A `Ground`. What of it is left over is found by its labels."""

    def __init__(self, folder: str, spec: dict[str, Any], streams: Streams) -> None:
        self._folder = Path(folder)
        self._spec = spec
        self._runtime = Runtime(**{**spec["runtime"], "logins": None})
        self._changes = Changes()
        self.wakes = self._changes.wakes
        self._around = Around(self._runtime, self._folder, spec, streams, self._changes)
        self._lives: dict[str, Life] = {}

    def arrange(self, units: list[Unit]) -> None:
        signal.set_wakeup_fd(-1)
        network.have(self._runtime, self._spec)
        for unit in units:
            kind = SlaveLife if unit.is_slave else AttachedLife
            self._lives[unit.name] = life = kind(unit, self._around)
            if unit.kind == "master" and isinstance(life, AttachedLife):
                life.make_early()  # its hostfile comes when it is started

    def start(self, unit: Unit) -> None:
        if unit.kind == "master":
            self._introduce()
        self._lives[unit.name].begin()

    def _introduce(self) -> None:
        """The master learns where the slaves are."""
        slaves = [life for life in self._lives.values() if isinstance(life, SlaveLife)]
        addresses = {life.unit.hostname: life.address for life in slaves if life.address}
        master = self._folder / "files" / "master"
        (master / "ssh_config").write_text(access.ssh_config(addresses))
        (master / "hostfile").write_bytes((self._folder / "hostfile").read_bytes())

    def changes(self) -> Iterator[Change]:
        yield from self._changes.take()

    def alive(self) -> list[str]:
        return [life.unit.key for life in self._lives.values() if life.take_seen()]

    def is_ending(self, unit: Unit) -> bool:
        return self._lives[unit.name].is_ending

    def terminate(self, unit: Unit) -> None:
        self._lives[unit.name].terminate()

    def end_slave(self, unit: Unit, status: int) -> None:
        """The kernel has ended the rest of it; ssh tells who waits for it."""

    def remark(self) -> str:
        """A slave may live on when one of its ranks was killed for want of memory."""
        killed = (life for life in self._lives.values() if life.lost_memory)
        life = next(killed, None)
        return life.out_of_memory() if life else ""

    def end(self) -> None:
        for life in self._lives.values():
            life.close()
        for life in self._lives.values():
            life.await_answer()
        try:
            if self._spec["results"]:
                results.bring(self._runtime, self._folder, self._spec, self._slaves())
        finally:
            leftovers.remove(self._runtime, self._folder, self._spec, self._containers())
        leftovers.note_removed(self._folder)

    def _slaves(self) -> list[str]:
        return [life.unit.place for life in self._lives.values() if life.unit.is_slave and life.is_made]

    def _containers(self) -> Collection[str]:
        """This run's. The runtime is asked which where one may be half made, or is somebody else's."""
        lives = self._lives.values()
        if all(life.is_made == life.is_begun for life in lives):
            return [life.unit.place for life in lives if life.is_made]
        return leftovers.of_run(self._runtime, self._spec)
