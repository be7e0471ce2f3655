"""Both sides of a run's end: what its runner keeps of it, and how the engine has it ended."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from units.capsule.kinds import Namespaces
from units.containers.engine import ContainersEngine
from units.errors import UnitError
from units.job import Handle, Job, Mpi, Outcome, UnitFile, UnitState
from units.launching import Machine
from units.local.backend import ProcessBackend
from units.local.engine import LocalEngine
from units.oci.runtime import Runtime
from units.supervisor import processes, record
from units.supervisor.backend import Change, Changes, Streams
from units.supervisor.engine import Runs
from units.supervisor.runner import Runner
from units.supervisor.unit import Unit

CANCELLED = Outcome(130, "", "cancelled")


class OwnRuns(Runs):
    """An engine of which nothing is asked but what all with a runner have in common."""

    def units(self, _job: Job) -> tuple[UnitFile, ...]:
        raise NotImplementedError

    def submit(self, _job: Job, _folder: Path) -> Handle:
        raise NotImplementedError


class Broken(ProcessBackend):
    """A ground on which nothing can stand, and of which something stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = ""

    def arrange(self, units: list[Unit]) -> None:
        raise UnitError("there is no network")

    def end(self) -> None:
        self.kept = (self.folder / "exit").read_text()
        raise UnitError("podman cp did not answer within 120 s")

    def clean_up(self) -> None:
        assert self.is_told(), "nobody is told of the end before"
        raise UnitError("podman rm did not answer within 120 s")

    def is_told(self) -> bool:
        with (self.folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True


def test_how_a_run_ended_is_kept_whatever_becomes_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "units").mkdir()
    log = os.open(tmp_path / "units.log", os.O_WRONLY | os.O_CREAT)
    backend = Broken(tmp_path)
    Runner({"home": str(tmp_path)}, Streams(log, log), backend, record.lock(str(tmp_path))).run()
    os.close(log)
    reason = "the run's surroundings could not be arranged: there is no network"
    assert Outcome(**json.loads(backend.kept)) == Outcome(1, reason)
    said = (tmp_path / "units.log").read_text()
    assert "podman cp did not answer within 120 s" in said
    assert "podman rm did not answer within 120 s" in said


def test_more_ranks_than_the_memory_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PHYS_PAGES": 4 << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    job = Job(app="a", run=1, release=1, prefix="", image="", tree=None, stack="openmpi")
    assert OwnRuns().never_fits(job) == ""
    assert OwnRuns().never_fits(replace(job, mpi=Mpi("openmpi5", 256))) == ""
    sentence = "257 ranks are too many for this machine, whose memory of 4 GB has room for 256"
    assert OwnRuns().never_fits(replace(job, mpi=Mpi("openmpi5", 257))) == sentence


class Dying(ProcessBackend):
    """A master ends over a slave, which tells its own end after that, if it `tells` at all."""

    def __init__(self, tells: bool) -> None:
        self.tells = tells
        self.changes_ = Changes()
        self.wakes = self.changes_.wakes

    def arrange(self, units: list[Unit]) -> None:
        pass

    def start(self, unit: Unit) -> None:
        if unit.kind == "master":
            self.changes_.add(Change(unit, "ended", code=0))
        elif unit.name == "slaves_a@1":
            self.slave = unit

    def changes(self) -> Iterator[Change]:
        for change in self.changes_.take():
            yield change
            if change.unit.kind == "master" and self.tells:
                self.changes_.add(Change(self.slave, "ended", code=137, reason="it ran into a wall"))

    def is_ending(self, unit: Unit) -> bool:
        return unit == self.slave

    def end_slave(self, unit: Unit, status: int) -> None:
        pass

    def alive(self) -> list[str]:
        return []

    def remark(self) -> str:
        return ""

    def end(self) -> None:
        pass


@pytest.mark.parametrize(
    ("tells", "reason"), [(True, "it ran into a wall"), (False, "the slave a-slave1 was lost")]
)
def test_a_slave_that_mpirun_was_first_to_miss_tells_itself_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells: bool, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("units.supervisor.runner.GRACE", 0.2)
    (tmp_path / "units").mkdir()
    os.mkfifo(tmp_path / "control")
    for kind, name in (("slave", "slaves_a@1"), ("slave", "slaves_a@2"), ("master", "master_a")):
        hostname = f"a-slave{name[-1]}" if kind == "slave" else "a-master"
        unit = {"kind": kind, "name": name, "hostname": hostname, "place": "", "argv": ["x"], "env": {}}
        (tmp_path / "units" / name).write_text(json.dumps(unit))
    log = os.open(tmp_path / "units.log", os.O_WRONLY | os.O_CREAT)
    spec = {"home": str(tmp_path), "timeout": None, "service": False}
    run = Runner(spec, Streams(log, log), Dying(tells), record.lock(str(tmp_path)))
    monkeypatch.setattr(run, "_start_first", lambda: (type(run)._start_first(run), run._start_master()))
    run.run()
    os.close(log)
    assert Outcome(**json.loads((tmp_path / "exit").read_text())) == Outcome(137, reason, "ended")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("units.supervisor.engine._STOP_WITHIN", 0.1)


@contextmanager
def runner(folder: Path, command: str) -> Iterator[subprocess.Popen[bytes]]:
    lock = record.lock(str(folder))
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, pass_fds=(lock,)) as process:
        os.close(lock)
        (folder / "pid").write_text(f"{process.pid} {processes.start_time(process.pid)}")
        yield process
        process.kill()


@pytest.mark.usefixtures("impatient")
def test_a_runner_that_had_to_be_killed_ended_as_it_was_told(tmp_path: Path) -> None:
    runs, handle = OwnRuns(), Handle(tmp_path)
    with runner(tmp_path, "exec sleep 60") as process:
        runs.stop(handle, CANCELLED)
        assert process.wait() == -9
    assert runs.outcome(handle) == CANCELLED


@pytest.mark.usefixtures("impatient")
def test_a_runner_that_has_ended_its_run_may_go_on_bringing_results(tmp_path: Path) -> None:
    (tmp_path / "exit").write_text('{"exit_code": 3}')
    runs, handle = OwnRuns(), Handle(tmp_path)
    with runner(tmp_path, "sleep 0.5; exit 7") as process:
        runs.stop(handle, CANCELLED)
        assert process.wait() == 7
    assert runs.outcome(handle) == Outcome(3)


def started(folder: Path, script: str) -> tuple[Runs, Handle]:
    """A runner that is a shell script, which says that it is ready and no more than that by itself."""
    runs, handle = OwnRuns(), Handle(folder)
    os.mkfifo(folder / "control")
    runs.start_runner(handle, ("sh", "-c", f"echo ready; exec >&-; {script}"))
    return runs, handle


def test_a_runner_that_has_yet_to_begin_counts_as_running_and_one_that_has_ended_does_not(
    tmp_path: Path,
) -> None:
    runs, handle = started(tmp_path, "read line <control")
    assert runs.running(handle)
    assert runs.command(handle, "end") or (tmp_path / "control").write_text("end\n")
    runs._children[tmp_path].wait()
    assert not runs.running(handle)


def test_a_runner_that_does_not_listen_yet_is_told_once_it_does(tmp_path: Path) -> None:
    runs, handle = started(tmp_path, "sleep 0.3; head -n 1 control >told")
    runs.stop(handle, CANCELLED)
    runs._children[tmp_path].wait()
    assert (tmp_path / "told").read_text().startswith('stop {"exit_code": 130')


def test_nobody_waits_for_a_runner_that_is_gone_to_listen(tmp_path: Path) -> None:
    runs, handle = started(tmp_path, "exit")
    runs._children[tmp_path].wait()
    runs.stop(handle, CANCELLED)
    assert not runs.command(handle, "start")


def test_units_are_told_by_where_their_engine_has_them(tmp_path: Path) -> None:
    machine, runtime = Machine(2, False, ()), Runtime("podman", "podman", rootless=False, uid=1000)
    engines = LocalEngine(tmp_path, machine, Namespaces()), ContainersEngine(tmp_path, machine, runtime)
    (tmp_path / "units").mkdir()
    slave = {"name": "slaves_a@1", "argv": ["x"], "address": "127.64.0.1", "place": "a_slave1", "slots": 2}
    for unit in (slave, {"name": "master_a", "argv": ["x"], "place": "a_master"}, {"name": "discovery_a@1"}):
        (tmp_path / "units" / f"{unit['name']}.json").write_text(json.dumps(unit))
    (tmp_path / "pids").write_text(f"slaves_a@1 {os.getpid()}\n")
    local, containers = (engine.states(Handle(tmp_path)) for engine in engines)
    assert local == (UnitState("master_a", "", 0, "ended"), UnitState("slaves_a@1", "127.64.0.1", 2, "ended"))
    assert containers == (
        UnitState("master_a", "a_master", 0, "ended"),
        UnitState("slaves_a@1", "a_slave1", 2, "alive", os.getpid()),
    )
