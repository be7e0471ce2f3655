"""The backend of units as containers, each with its own life, on their app's network."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from units.containers import cleanup, network, results
from units.containers.container_life import Life, RunContext
from units.containers.foreground import ForegroundLife
from units.containers.master import MasterLife
from units.containers.slave import SlaveLife
from units.oci import ssh_access
from units.oci.runtime import Runtime
from units.supervisor import daemons, files
from units.supervisor.backend import Change, Changes, Streams
from units.supervisor.unit import Unit


class ContainerBackend:
    """A `Backend`. Containers that it leaves behind are found by their labels."""

    over_ssh = True

    def __init__(self, folder: str, spec: dict[str, Any], streams: Streams) -> None:
        self._folder = Path(folder)
        self._spec = spec
        self._runtime = Runtime(**{**spec["runtime"], "logins": None})
        self._changes = Changes()
        self.wakes = self._changes.wakes
        self._context = RunContext(self._runtime, self._folder, spec, streams, self._changes)
        self._lives: dict[str, Life] = {}

    def arrange(self, units: list[Unit]) -> None:
        signal.set_wakeup_fd(-1)
        network.have(self._runtime, self._spec)
        kinds = {"slave": SlaveLife, "master": MasterLife, "process": ForegroundLife}
        self._lives = {unit.name: kinds[unit.kind](unit, self._context) for unit in units}

    def start(self, unit: Unit) -> None:
        if unit.kind == "master":
            self._introduce()
        self._lives[unit.name].begin()

    def _introduce(self) -> None:
        """Write the slaves' addresses and the hostfile into the master's files."""
        slaves = [life for life in self._lives.values() if isinstance(life, SlaveLife)]
        addresses = {life.unit.hostname: life.address for life in slaves if life.address}
        master = self._folder / "files" / "master"
        (master / "ssh_config").write_text(ssh_access.ssh_config(addresses))
        (master / "hostfile").write_bytes((self._folder / "hostfile").read_bytes())

    def changes(self) -> Iterator[Change]:
        for change in self._changes.take():
            if change.kind == "ended" and change.unit.kind == "master":
                yield from self._noted()
            yield change

    def _noted(self) -> Iterator[Change]:
        """Yield what agents noted of mpirun's daemons. The master's shell waits up to 5 s for that."""
        slaves = {life.unit.hostname: life.unit for life in self._lives.values() if life.unit.is_slave}
        for name, word in daemons.noted_in(self._folder / files.DAEMONS):
            if name in slaves:
                yield Change(slaves[name], "daemon", word)

    def alive(self) -> list[str]:
        return [life.unit.key for life in self._lives.values() if life.take_seen()]

    def is_ending(self, unit: Unit) -> bool:
        return self._lives[unit.name].is_ending

    def answers(self, unit: Unit) -> bool:
        return self._lives[unit.name].answers()

    def terminate(self, unit: Unit) -> None:
        self._lives[unit.name].terminate()

    def end_slave(self, unit: Unit, status: int) -> None:
        """Do nothing: the kernel has ended the rest of the container, and ssh notifies its clients."""

    def remark(self) -> str:
        """Return which unit ran out of memory: a slave can survive the kill of one of its ranks."""
        killed = (life for life in self._lives.values() if life.lost_memory)
        life = next(killed, None)
        return life.out_of_memory() if life else ""

    def end(self) -> None:
        for life in self._lives.values():
            life.close()
        if self._spec["results"]:
            for life in self._lives.values():
                life.await_answer()
            results.bring(self._runtime, self._folder, self._spec, self._slaves())
            cleanup.take_back(self._runtime, self._folder)

    def clean_up(self) -> None:
        for life in self._lives.values():
            life.await_answer()
        cleanup.remove(self._runtime, self._folder, self._spec, self._containers())
        cleanup.note_removed(self._folder)

    def _slaves(self) -> list[str]:
        return [life.unit.place for life in self._lives.values() if life.unit.is_slave and life.is_made]

    def _containers(self) -> Collection[str]:
        """Return this run's containers. Ask the runtime if one can be half made, or not be nap's."""
        lives = [life for life in self._lives.values() if not isinstance(life, MasterLife)]
        if all(life.is_made == life.is_begun for life in lives):
            return [life.unit.place for life in lives if life.is_made]
        return cleanup.of_run(self._runtime, self._spec)
