"""The daemon's side of runs: starts a runner, sends it commands, and finds it again by its folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from units import ending, nofollow
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle, Job, Outcome, UnitState
from units.supervisor import files, processes, record

_READY_WITHIN = 120.0
# Bytes of memory of a working rank: an idle MPICH rank takes half. Up to _SOME_RANKS are always allowed.
_RANK = 16 << 20
_SOME_RANKS = 64
_STOP_WITHIN = 15.0
_BETWEEN_TRIES = 0.02
# Seconds. A runner whose run has ended can still copy results, which takes long; its cleanup after that is
# a few calls.
_BROUGHT_WITHIN, _CLEAN_WITHIN = 3600.0, 300.0


class Runs(Engine):
    """The common base of the engines whose runs have a runner."""

    where = "address"
    """The field of a unit file that has the unit's location."""

    def __init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def never_fits(self, job: Job) -> str:
        """Return why the job has too many ranks for this machine's memory, or an empty string.

        Too few cores only make a job slow; ranks beyond the memory make the machine unusable.
        """
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        most = max(_SOME_RANKS, memory // _RANK)
        if job.mpi is None or job.mpi.np <= most:
            return ""
        here = f"this machine, whose memory of {memory >> 30} GB has room for {most}"
        return f"{job.mpi.np} ranks are too many for {here}"

    def start_runner(self, handle: Handle, argv: Sequence[str]) -> None:
        """Start the runner with `argv` and wait until all units have started.

        Raise UnitError, with nothing left behind, when they have not within 120 s. The runner inherits the
        locked descriptor, so the run never seems not to run.
        """
        lock = record.lock(str(handle.folder))
        try:
            with handle.log.open("ab") as log:
                runner = subprocess.Popen(
                    (*argv, str(lock)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=handle.folder,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)
        self._children[handle.folder] = runner
        assert runner.stdout is not None
        with runner.stdout as answer:
            ready = select.select([answer], [], [], _READY_WITHIN)[0] and answer.readline()
        if ready != b"ready\n":
            why = self._why_not(handle)
            self.stop(handle, Outcome(1))
            raise UnitError(f"the units did not start: {why}", f"the whole of it: {handle.log}")

    def _why_not(self, handle: Handle) -> str:
        _let_go(handle.folder / "lock", _STOP_WITHIN)
        reason = self.outcome(handle).reason if self.has_ended(handle) else ""
        last = handle.log.read_text(errors="replace").strip().splitlines()[-1:]
        return reason or "".join(last) or "no answer from the runner"

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            (handle.folder / name).write_text(content)
        self._tell(handle, "start")

    def command(self, handle: Handle, line: str) -> bool:
        """Write a line to the run's control FIFO. Return whether a runner has it open."""
        with contextlib.suppress(OSError):
            control = os.open(handle.folder / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            with os.fdopen(control, "w") as fifo:
                if stat.S_ISFIFO(os.fstat(control).st_mode):
                    fifo.write(f"{line}\n")
                    return True
        return False

    def running(self, handle: Handle) -> bool:
        """Return whether the lock is held and the runner, once it has written its PID, is alive.

        The lock alone is not enough: the enclosure inherits it and can hold it a little longer.
        """
        try:
            with (handle.folder / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return not _has_begun(handle) or self.runner(handle) is not None
        return False

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Wait for the runner to release the lock: outcome and results are complete then.

        `seconds` is the limit, None for no limit. Return whether the run has ended.
        """
        self._until(handle, lambda: _has_begun(handle))
        return not self.running(handle) or _let_go(handle.folder / "lock", seconds)

    def runner(self, handle: Handle) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return processes.find(nofollow.read(handle.folder / "pid"))
        return None

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        # Only fields that every version knows: the runner can be one of an older nap.
        said = {"exit_code": outcome.exit_code, "reason": outcome.reason, "state": outcome.state}
        self._tell(handle, f"stop {json.dumps(said)}")
        pid = self.runner(handle)
        if pid and not self._ends(handle):
            processes.kill(pid)
            processes.wait(pid, _STOP_WITHIN)
            if not self.has_ended(handle):
                ending.keep(handle, outcome)

    def _tell(self, handle: Handle, line: str) -> None:
        self._until(handle, lambda: self.command(handle, line))

    def _until(self, handle: Handle, done: Callable[[], bool]) -> None:
        """Retry until `done`, while the run is alive and for 15 s at most: a new runner needs a moment."""
        deadline = time.monotonic() + _STOP_WITHIN
        while not done() and self.running(handle) and time.monotonic() < deadline:
            time.sleep(_BETWEEN_TRIES)

    def _ends(self, handle: Handle) -> bool:
        """Return whether the runner ends by itself; once its outcome is written it gets time for results."""
        if self.wait(handle, _STOP_WITHIN):
            return True
        return self.has_ended(handle) and self.wait(handle, _BROUGHT_WITHIN)

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        found = [json.loads(path.read_text()) for path in (handle.folder / "units").glob("*.json")]
        units = [unit for unit in found if "argv" in unit]
        pids = self.numbers(handle, units)
        states = [self._state(unit, pids.get(unit["name"], 0)) for unit in units]
        return tuple(sorted(states, key=lambda state: (len(state.name), state.name)))

    def numbers(self, handle: Handle, _units: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Return the machine's PIDs of the started units by name, as the runner recorded them."""
        return processes.written(handle.folder / "pids")

    def _state(self, unit: dict[str, Any], pid: int) -> UnitState:
        state = processes.state(pid) if pid else "ended"
        return UnitState(unit["name"], unit.get(self.where, ""), unit.get("slots", 0), state, pid)

    def results(self, handle: Handle) -> tuple[Path, ...]:
        try:
            spec = json.loads(nofollow.read(handle.folder / "run.json"))
        except FileNotFoundError:
            return ()
        return files.keep_results(handle.folder, spec)

    def clean_up(self, handle: Handle) -> None:
        self.remove(handle)
        files.clear(handle.folder)

    def remove(self, handle: Handle) -> None:
        """Remove all of the run but its files: wait for its runner to do so, and kill it after 300 s."""
        pid = self.runner(handle)
        if pid and not processes.wait(pid, _CLEAN_WITHIN):
            processes.kill(pid)
            processes.wait(pid, _STOP_WITHIN)
        if child := self._children.pop(handle.folder, None):
            child.wait()
        self.remove_what_is_left(handle)

    def remove_what_is_left(self, handle: Handle) -> None:
        """Clean up after a runner that was killed. Nothing to do here: the kernel ended its capsule."""


def _has_begun(handle: Handle) -> bool:
    return (handle.folder / "pid").exists()


def _let_go(lock: Path, seconds: float | None) -> bool:
    """Wait up to `seconds`, None for no limit, until the lock is free. Return whether it is."""
    try:
        held = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        if seconds is None:
            fcntl.flock(held, fcntl.LOCK_SH)
            return True
        return _is_free_within(held, seconds)
    finally:
        os.close(held)


def _is_free_within(lock: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_BETWEEN_TRIES)
