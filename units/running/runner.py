"""The life of a run: starts the units, tells who is alive, keeps the exit code.

It needs no daemon: it holds a lock on the run's folder, lets the program write straight to
`output`, and leaves `exit` behind. Commands come in as lines through the FIFO `control`: `start`,
and `stop` with an outcome in JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import time
from typing import Any

from units.errors import UnitError
from units.running import record
from units.running.announcer import Announcer
from units.running.ending import Ending
from units.running.exitcode import mpich_signal
from units.running.ground import Change, Ground, Streams
from units.running.restarts import Restarts
from units.running.unit import Unit, read_units

BEAT = 5.0
GRACE = 5.0
LOST = 137


def take_folder(folder: str, lock: str) -> tuple[dict[str, Any], Streams]:
    """Make the run in `folder` this process's own; what it is to be, and where it is told.

    `lock` is the number of the descriptor that keeps others off it, which none of the units gets.
    """
    os.set_inheritable(int(lock), False)
    os.chdir(folder)
    record.write_identity()
    with open("run.json") as file:
        spec: dict[str, Any] = json.load(file)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return spec, Streams(output=os.open("output", flags, 0o600), log=os.open("units.log", flags, 0o600))


class Runner:
    """One run's life: `run` returns when it is over."""

    def __init__(self, spec: dict[str, Any], streams: Streams, ground: Ground) -> None:
        self.spec = spec
        self.streams = streams
        self.ground = ground
        self.waiting = read_units("units")
        self.announcer = Announcer(os.open(spec["home"], os.O_PATH))
        self.running: dict[str, Unit] = {}
        self.starting: set[str] = set()
        self.started_at: dict[str, float] = {}
        self.restarts = Restarts()
        self.ending = Ending()
        # The slave over whose end mpirun has ended: how that came, it is still to tell.
        self.dying: Unit | None = None
        self.first_code = 0

    def run(self) -> None:
        try:
            self.ground.arrange(self.waiting)
        except (OSError, UnitError) as error:
            self._end(1, f"the run's surroundings could not be arranged: {error}")
        else:
            self._live()
        self._finish()

    def _live(self) -> None:
        with selectors.DefaultSelector() as selector:
            control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
            selector.register(control, selectors.EVENT_READ)
            selector.register(self.ground.wakes, selectors.EVENT_READ)
            self._start_first()
            while not self._is_over():
                for key, _ in selector.select(self._patience()):
                    data = os.read(key.fd, 1 << 16)
                    if key.fd == control:
                        self._obey(data.decode())
                for change in self.ground.changes():
                    self._hear(change)
                self._keep_time()

    def _start_first(self) -> None:
        """All but the master, which waits for its hostfile."""
        first = [unit for unit in self.waiting if unit.kind != "master"]
        self.waiting = [unit for unit in self.waiting if unit.kind == "master"]
        self.starting = {unit.name for unit in first}
        for unit in first:
            self._start(unit)
        if not self.waiting:
            self._limit_time()

    def _start_master(self) -> None:
        """Once: a daemon that comes back may say it again."""
        while self.waiting:
            self._start(self.waiting.pop())
            self._limit_time()

    def _limit_time(self) -> None:
        if self.spec["timeout"]:
            self.ending.within(self.spec["timeout"])

    def _start(self, unit: Unit) -> None:
        self.started_at[unit.name] = time.monotonic()
        try:
            self.ground.start(unit)
        except OSError as error:
            self._end(127, f"{unit.name} did not start: {error}")
            return
        self.running[unit.name] = unit

    def _obey(self, lines: str) -> None:
        for line in lines.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "start":
                self._start_master()
            elif verb == "stop":
                self._end(**json.loads(rest))

    def _hear(self, change: Change) -> None:
        unit = change.unit
        if unit.name not in self.running:
            return
        if change.kind == "ended":
            self._ended(unit, change)
        elif change.kind == "ready":
            if unit.key:
                self.announcer.announce(unit.key, change.value)
        else:
            self._say(f"{unit.name} started")
            self._is_up(unit)

    def _is_up(self, unit: Unit) -> None:
        """Who submitted the run is answered once all of it has started; a failed one answers by its end."""
        if unit.name in self.starting:
            self.starting.remove(unit.name)
            if not self.starting and self.ending.outcome is None:
                _answer_caller()

    def _ended(self, unit: Unit, change: Change) -> None:
        del self.running[unit.name]
        code = change.code
        self._say(f"{unit.name} ended with {code}")
        self.announcer.withdraw(unit.key)
        if unit.is_slave:
            self._slave_lost(unit, change)
        elif unit.kind == "master":
            self._master_ended(mpich_signal(code, "output") if unit.mpich else code, change.reason)
        elif not self.spec["service"]:
            self._process_done(change)
        elif self.ending.outcome is None:
            self._again(unit, code)

    def _again(self, unit: Unit, code: int) -> None:
        """Whether it ever comes up is for who waits for its answer to see."""
        self._is_up(unit)
        pause = self.restarts.add(unit, time.monotonic() - self.started_at[unit.name])
        self._print(f"nap: {unit.hostname} ended with {code}; starting it again in {pause:.0f} s\n")

    def _master_ended(self, code: int, reason: str) -> None:
        """mpirun may hear of a slave's end before it has ended altogether; Open MPI's then may say 0."""
        lost = [unit for unit in self.running.values() if unit.is_slave and self.ground.is_ending(unit)]
        remark = reason or (self.ground.remark() if code else "")
        if not lost:
            self._end(code, remark)
        elif remark:
            self._end(LOST, remark)
        else:
            self.dying = lost[0]
            self.ending.within(GRACE)

    def _slave_lost(self, unit: Unit, change: Change) -> None:
        """Free whoever waits for this slave; mpirun notices by itself, and is given the time to."""
        self.ground.end_slave(unit, LOST)
        reason = change.reason or _lost(unit, change.code)
        if not self._is_busy() and not self.dying:
            self._end(1, f"{reason} before the run began")
            return
        self.ending.settle(LOST, reason)
        self.ending.within(2 * GRACE)

    def _process_done(self, change: Change) -> None:
        self.first_code = self.first_code or change.code
        if not self.running:
            self._end(self.first_code, change.reason or (self.ground.remark() if self.first_code else ""))

    def _end(self, exit_code: int, reason: str = "", state: str = "ended") -> None:
        """The run is over as soon as what still runs has heard of it: gently first, then by force."""
        self.ending.settle(exit_code, reason, state)
        for unit in self.running.values():
            if not unit.is_slave:
                self.ground.terminate(unit)
        self.ending.within(GRACE)

    def _is_busy(self) -> bool:
        """Slaves are there for others: alone they are no run."""
        return any(not unit.is_slave for unit in self.running.values())

    def _is_over(self) -> bool:
        return self.ending.outcome is not None and not self._is_busy()

    def _keep_time(self) -> None:
        if self.ending.left == 0.0:
            self._time_is_up()
        for unit in self.restarts.take_due():
            if self.ending.outcome is None:
                self._start(unit)
        self.announcer.alive(self.ground.alive())

    def _time_is_up(self) -> None:
        if self.ending.outcome is not None:
            self.running.clear()
            return
        if self.dying:
            self._end(LOST, _lost(self.dying, LOST))
            return
        self.ending.extend()
        self._end(124, f"it took longer than its timeout of {self.spec['timeout']} s", "timed out")

    def _patience(self) -> float:
        """Seconds until there is something to do though nothing happens."""
        return min(BEAT, self.ending.left, self.restarts.left)

    def _finish(self) -> None:
        """How it ended is kept first: whatever becomes of what is left then, the exit code is there."""
        self.announcer.withdraw_all()
        assert self.ending.outcome is not None
        record.write_exit(self.ending.outcome, self.streams.output)
        try:
            self.ground.end()
        except (OSError, UnitError) as error:
            self._say(f"what is left of the run could not be taken away: {error}")

    def _say(self, text: str) -> None:
        os.write(self.streams.log, f"{text}\n".encode())

    def _print(self, text: str) -> None:
        os.write(self.streams.output, text.encode())


def _answer_caller() -> None:
    """All has started. Who submitted the run may be gone."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _lost(slave: Unit, code: int) -> str:
    return f"the slave {slave.hostname} was lost (exit {code})"
