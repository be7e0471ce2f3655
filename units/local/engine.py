"""The local engine, the daemon's side: submits jobs to capsules, waits for them, finds them again."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from units import launching, names
from units.errors import UnitError
from units.job import Handle, Job, Outcome, Pairs, Process, Slave, UnitFile, UnitState
from units.local import enclosures, files, processes
from units.local.enclosures import Enclosure
from units.render import render

_HERE = Path(__file__).parent
_AGENT = _HERE / "agent.sh"
_READY_WITHIN = 60.0
_STOP_WITHIN = 15.0


class LocalEngine:
    """Runs of this machine, as the user of the daemon. `home` is hidden from what runs.

    `note` is what whoever pushes has to know of this machine, empty when all is as it should be.
    """

    name = "local"

    def __init__(self, home: Path, machine: launching.Machine, enclosure: Enclosure | None = None) -> None:
        self._home = home
        self._machine = machine
        self._enclosure = enclosure or enclosures.here()
        self.note = self._enclosure.note
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        return self._units(job, Path("{run}"))

    def submit(self, job: Job, folder: Path) -> Handle:
        handle = Handle(folder)
        own_network = _is_openmpi(job) and self._machine.only_loopback
        spec = {
            "capsule": self._enclosure.kind,
            "shim": self._enclosure.shim(self._home),
            "home": str(self._home),
            "tree": str(job.tree),
            "visible": [str(path) for path in (*job.visible, *_own_folders(self._home))],
            "own_network": own_network,
            "service": job.service,
            "timeout": job.timeout,
            "results": job.results,
            "labels": {slave.name: f"slave{slave.index}" for slave in job.slaves},
        }
        files.make(folder, self._units(job, folder), json.dumps(spec), _hosts(job))
        try:
            self._start_runner(handle, own_network)
        except UnitError:
            self.stop(handle, Outcome(1))
            raise
        return handle

    def _start_runner(self, handle: Handle, own_network: bool) -> None:
        command = (sys.executable, "-I", "-S", str(_HERE / "runner.py"), str(handle.folder))
        with handle.log.open("ab") as log:
            runner = subprocess.Popen(
                self._enclosure.argv(command, own_network),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=handle.folder,
                start_new_session=True,
            )
        self._children[handle.folder] = runner
        assert runner.stdout is not None
        with runner.stdout as answer:
            ready = select.select([answer], [], [], _READY_WITHIN)[0] and answer.readline()
        if ready != b"ready\n":
            raise UnitError(self._why_not(handle), "the whole of it: " + str(handle.log))

    def _why_not(self, handle: Handle) -> str:
        reason = self.outcome(handle).reason if self.has_ended(handle) else ""
        last = handle.log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"the units did not start: {reason or ''.join(last) or 'no answer from the runner'}"

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            (handle.folder / name).write_text(content)
        self._command(handle, "start")

    def _command(self, handle: Handle, line: str) -> bool:
        """Whether somebody was there to read it."""
        try:
            control = os.open(handle.folder / "control", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        with os.fdopen(control, "w") as fifo:
            fifo.write(f"{line}\n")
        return True

    def running(self, handle: Handle) -> bool:
        """The runner holds a lock for as long as it lives, and nothing of the run outlives it."""
        try:
            with (handle.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def has_ended(self, handle: Handle) -> bool:
        return (handle.folder / "exit").exists()

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        pid = self._runner(handle)
        return processes.wait(pid, seconds) if pid else not self.running(handle)

    def _runner(self, handle: Handle) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return processes.find((handle.folder / "pid").read_text())
        return None

    def outcome(self, handle: Handle) -> Outcome:
        if child := self._children.pop(handle.folder, None):
            child.wait()
        try:
            found = json.loads((handle.folder / "exit").read_text())
        except FileNotFoundError:
            return Outcome(137, "its processes were killed from outside, or the machine went down", "lost")
        return Outcome(**found)

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        self._command(handle, f"stop {json.dumps(asdict(outcome))}")
        pid = self._runner(handle)
        if pid and not processes.wait(pid, _STOP_WITHIN):
            processes.kill(pid)
            processes.wait(pid, _STOP_WITHIN)

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        runner = self._runner(handle)
        pids = processes.numbers(runner, handle.folder / "pids") if runner else {}
        units = [json.loads(path.read_text()) for path in (handle.folder / "units").glob("*.json")]
        states = [_state(unit, pids.get(unit["name"], 0)) for unit in units if "argv" in unit]
        return tuple(sorted(states, key=lambda state: (len(state.name), state.name)))

    def results(self, handle: Handle) -> tuple[Path, ...]:
        try:
            spec = json.loads((handle.folder / "run.json").read_text())
        except FileNotFoundError:
            return ()
        try:
            return files.keep_results(handle.folder, spec)
        finally:
            files.clear(handle.folder)

    def _units(self, job: Job, folder: Path) -> tuple[UnitFile, ...]:
        if job.mpi is None:
            return tuple(unit for process in job.processes for unit in _process_units(job, process, folder))
        env = self._mpi_env(job, folder)
        slaves = [unit for slave in job.slaves for unit in _slave_units(job, slave, env, folder)]
        return (*slaves, _master_unit(job, env))

    def _mpi_env(self, job: Job, folder: Path) -> Pairs:
        assert job.mpi is not None
        hosts = str(folder / "hostfile")
        launch = launching.environment(job.mpi, job.slaves, self._machine, str(_AGENT), hosts)
        return (*_run_env(job, folder), *launch, ("NAP_SLAVES", str(folder / "places")))


def check() -> None:
    """UnitError when runs cannot be kept together on this machine."""
    enclosures.here().check()


def _is_openmpi(job: Job) -> bool:
    return job.mpi is not None and job.mpi.flavour != "mpich"


def _hosts(job: Job) -> str:
    """The run's own /etc/hosts: the slaves at their addresses, everything else at this machine's."""
    others = [f"{job.app}-{process.name}" for process in job.processes] or [f"{job.app}-master"]
    here = ("127.0.0.1", " ".join(["localhost", *others]))
    lines = [here, ("::1", "localhost"), *((slave.address, slave.name) for slave in job.slaves)]
    return "".join(f"{address} {names}\n" for address, names in lines)


def _process_units(job: Job, process: Process, folder: Path) -> tuple[UnitFile, ...]:
    name = names.process_unit(job, process.name)
    port = (("PORT", str(process.port)),) if process.port else ()
    values = {
        "name": name,
        "hostname": f"{job.app}-{process.name}",
        "argv": process.argv,
        "env": _sorted((*_run_env(job, folder), *port)),
    }
    unit = render(name, "local/process.json.j2", values)
    discovery = names.discovery_unit(job, 1, process.name)
    return (unit, _discovery(discovery, name, process.key, process.member))


def _slave_units(job: Job, slave: Slave, env: Pairs, folder: Path) -> tuple[UnitFile, ...]:
    name = names.slaves_unit(job, slave.index)
    own = (("NAP_SLAVE_FOLDER", str(folder / "places" / slave.name)),)
    values = {
        "name": name,
        "slave": slave,
        "argv": ("sh", str(_HERE / "slave.sh"), slave.name),
        "env": _sorted((*env, *own)),
    }
    unit = render(name, "local/slaves.json.j2", values)
    return (unit, _discovery(names.discovery_unit(job, slave.index), name, slave.key, slave.member))


def _discovery(name: str, announces: str, key: str, value: str) -> UnitFile:
    values = {"name": name, "announces": announces, "key": key, "value": value}
    return render(name, "local/discovery.json.j2", values)


def _master_unit(job: Job, env: Pairs) -> UnitFile:
    assert job.mpi is not None
    name = names.master_unit(job)
    values = {
        "name": name,
        "hostname": f"{job.app}-master",
        "place": job.slaves[0].name,
        "mpich": job.mpi.flavour == "mpich",
        "argv": launching.command(job.mpi, _words(job, env)),
        "env": _sorted(env),
    }
    return render(name, "local/master.json.j2", values)


def _run_env(job: Job, folder: Path) -> Pairs:
    """What a program of this engine finds: its own settings first, nap's words last."""
    app = str(folder / "app")
    given = tuple((key, value.replace("{app}", app)) for key, value in job.env)
    places = {"NAP_APP": app, "NAP_SHARE": str(folder / "share")}
    written = tuple((key, launching.expand(value, places)) for key, value in _written(job))
    return (*given, *written, *places.items(), ("PWD", app), ("TMPDIR", str(folder / "tmp")))


def _written(job: Job) -> Pairs:
    """The manifest's own variables."""
    return job.mpi.env if job.mpi else ()


def _words(job: Job, env: Pairs) -> dict[str, str]:
    """What a `$NAME` in the master's argv may stand for."""
    known = {"NAP_APP", "NAP_SHARE", *dict(_written(job))}
    return {name: value for name, value in env if name in known}


def _sorted(env: Pairs) -> list[tuple[str, str]]:
    """By name, the last one of a name counting: the same job gives the same bytes."""
    return sorted(dict(env).items())


def _own_folders(home: Path) -> list[Path]:
    """nap's own files, and its Python's, where they are kept under the home that is hidden."""
    return [path for path in (_HERE.parent.parent, Path(sys.prefix)) if home in path.parents]


def _state(unit: dict[str, Any], pid: int) -> UnitState:
    state = processes.state(pid) if pid else "ended"
    return UnitState(unit["name"], unit.get("address", ""), unit.get("slots", 0), state, pid)


def capsule_argv(
    home: Path, writable: tuple[Path, ...], visible: tuple[Path, ...], argv: tuple[str, ...]
) -> list[str]:
    """`argv` as a command in a capsule of its own that ends when its caller does.

    It sees of nap's home the `writable` folders, starts in the first of them, and may read `visible`.
    """
    enclosure = enclosures.here()
    shown = [str(path) for path in (*visible, *_own_folders(home))]
    places = (enclosure.kind, str(home), *map(str, writable), "--", *shown)
    enter = (sys.executable, "-I", "-S", str(_HERE / "enter.py"), *places)
    command = enclosure.argv((*enter, "--", *argv))
    return ["setpriv", "--pdeathsig", "KILL", *command]
