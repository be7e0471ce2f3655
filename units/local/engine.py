"""The daemon's side of the local engine: submits jobs to capsules, waits for them, finds them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nap_start import BARE
from units import launching
from units.capsule import kinds
from units.capsule.command import own_folders
from units.capsule.kinds import Enclosure
from units.job import Handle, Job, UnitFile
from units.local import unit_files
from units.supervisor import files, processes
from units.supervisor.engine import Runs
from units.supervisor.probe import answers

_HERE = Path(__file__).parent


class LocalEngine(Runs):
    """Runs on this machine, as the daemon's user. `home` is hidden from programs if the capsule can."""

    name = "local"
    hostfile = unit_files.HOSTFILE
    makes_room = True

    def __init__(self, home: Path, machine: launching.Machine, enclosure: Enclosure | None = None) -> None:
        super().__init__()
        self._home = home
        self._machine = machine
        self._enclosure = enclosure or kinds.here()

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        return unit_files.render_all(job, Path("{run}"), self._machine)

    def note(self, _job: Job) -> str:
        return self._enclosure.note

    def submit(self, job: Job, folder: Path) -> Handle:
        handle = Handle(folder)
        own_network = _is_openmpi(job) and self._machine.only_loopback
        spec = {
            "capsule": self._enclosure.kind,
            "shim": self._enclosure.shim(self._home),
            "home": str(self._home),
            "tree": str(job.tree),
            "visible": [str(path) for path in (*job.visible, *own_folders(self._home))],
            "own_network": own_network,
            "service": job.service,
            "timeout": job.timeout,
            "results": job.results,
            "labels": {slave.name: f"slave{slave.index}" for slave in job.slaves},
        }
        units = unit_files.render_all(job, folder, self._machine)
        agent = (_HERE / "agent.sh").read_text()
        others = {"hosts": _hosts(job), "hostfile": "", unit_files.AGENT: agent}
        files.make(folder, units, json.dumps(spec), others)
        (folder / unit_files.AGENT).chmod(0o700)
        command = (*BARE, str(_HERE / "runner.py"), str(folder))
        self.start_runner(handle, self._enclosure.argv(command, own_network))
        return handle

    def answers(self, _handle: Handle, port: int) -> bool:
        return answers("127.0.0.1", port)

    def numbers(self, handle: Handle, _units: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Return the machine's PIDs of the started units: the runner recorded those of the capsule."""
        runner = self.runner(handle)
        return processes.numbers(runner, handle.folder / "pids") if runner else {}


def check() -> None:
    """Raise UnitError when this machine lacks what a capsule needs."""
    kinds.here().check()


def _is_openmpi(job: Job) -> bool:
    return job.mpi is not None and not job.mpi.is_mpich


def _hosts(job: Job) -> str:
    """Return the run's own /etc/hosts: the slaves at their addresses, all other names at 127.0.0.1."""
    others = [f"{job.app}-{process.name}" for process in job.processes] or [f"{job.app}-master"]
    here = ("127.0.0.1", " ".join(["localhost", *others]))
    lines = [here, ("::1", "localhost"), *((slave.address, slave.name) for slave in job.slaves)]
    return "".join(f"{address} {names}\n" for address, names in lines)
