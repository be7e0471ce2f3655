"""The first process of a run's capsule: starts the units, tells who is alive, keeps the exit code.

    runner.py FOLDER        (as an enclosure starts it, without `site`; the standard library alone)

It needs no daemon: it holds a lock on the run's folder, lets the program write straight to
`output`, and leaves `exit` behind. When it ends, every process of the run does.
Commands come in as lines through the FIFO `control`: `start`, and `stop` with an outcome in JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.local import capsule, children, record, requests
from units.local.announcer import Announcer
from units.local.ending import Ending
from units.local.exitcode import mpich_signal
from units.local.restarts import Restarts
from units.local.spawn import spawn
from units.local.unit import Unit, read_units

BEAT = 5.0
GRACE = 5.0
LOST = 137


class Runner:
    """One run's life: `run` returns when it is over."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open("run.json") as file:
            self.spec: dict[str, Any] = json.load(file)
        self.waiting = read_units("units")
        self.log = os.open("units.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.capsule = capsule.of_kind(self.spec["capsule"], self.spec["shim"])
        self.announcer = Announcer(os.open(self.spec["home"], os.O_PATH))
        self.running: dict[int, Unit] = {}
        self.started_at: dict[int, float] = {}
        self.stopped: set[int] = set()
        self.restarts = Restarts()
        self.ending = Ending()
        self.first_code = 0

    def run(self) -> None:
        try:
            self._arrange()
        except OSError as error:
            self._end(1, f"the run's capsule could not be arranged: {error}")
        else:
            self._live()
        self._finish()

    def _arrange(self) -> None:
        for place in dict.fromkeys(unit.place for unit in self.waiting):
            self.capsule.place(self.spec["tree"], f"{self.folder}/places/{place}")
        if self.spec["own_network"]:
            self.capsule.own_network()
        self.capsule.arrange(self.spec["home"], [self.folder], self.spec["visible"], "hosts")
        os.chdir(self.folder)

    def _live(self) -> None:
        with selectors.DefaultSelector() as selector:
            control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
            selector.register(control, selectors.EVENT_READ)
            selector.register(children.signals(), selectors.EVENT_READ)
            self._start_first()
            if self.ending.outcome is None:
                _answer_caller()
            while not self._is_over():
                for key, _ in selector.select(self._patience()):
                    data = os.read(key.fd, 1 << 16)
                    if key.fd == control:
                        self._obey(data.decode())
                self._look_at_children()
                self._keep_time()

    def _start_first(self) -> None:
        """All but the master, which waits for its hostfile."""
        first = [unit for unit in self.waiting if unit.kind != "master"]
        self.waiting = [unit for unit in self.waiting if unit.kind == "master"]
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
        output = self.log if unit.is_slave else self.output
        try:
            if unit.is_slave:
                requests.open_in(f"places/{unit.place}")
            pid = spawn(unit, self.capsule, self.folder, output, self.log)
        except OSError as error:
            self._end(127, f"{unit.name} did not start: {unit.argv[0]}: {error}")
            return
        self.running[pid] = unit
        self.started_at[pid] = time.monotonic()
        record.note_unit(unit.name, pid)
        self._say(f"{unit.name} started")
        if unit.key:
            self.announcer.announce(unit.key, unit.value)

    def _obey(self, lines: str) -> None:
        for line in lines.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "start":
                self._start_master()
            elif verb == "stop":
                self._end(**json.loads(rest))

    def _look_at_children(self) -> None:
        for pid, code, stands_still in children.changes():
            if stands_still:
                self.stopped.add(pid)
            else:
                self.stopped.discard(pid)
            if code is not None and pid in self.running:
                self._ended(pid, code)

    def _ended(self, pid: int, code: int) -> None:
        unit = self.running.pop(pid)
        lived = time.monotonic() - self.started_at.pop(pid)
        self._say(f"{unit.name} ended with {code}")
        self.announcer.withdraw(unit.key)
        if unit.is_slave:
            self._slave_lost(unit, code)
        elif unit.kind == "master":
            self._master_ended(mpich_signal(code, "output") if unit.mpich else code)
        elif not self.spec["service"]:
            self._process_done(code)
        elif self.ending.outcome is None:
            pause = self.restarts.add(unit, lived)
            self._print(f"nap: {unit.hostname} ended with {code}; starting it again in {pause:.0f} s\n")

    def _master_ended(self, code: int) -> None:
        """mpirun may hear of a slave's end before it has ended altogether; Open MPI's then may say 0."""
        lost = [unit for pid, unit in self.running.items() if unit.is_slave and children.is_ending(pid)]
        if lost:
            self.ending.settle(LOST, _lost(lost[0], LOST))
        self._end(code)

    def _slave_lost(self, unit: Unit, code: int) -> None:
        """Free whoever waits for this slave; mpirun notices by itself, and is given the time to."""
        self.capsule.end_slave(unit)
        requests.close_in(f"places/{unit.place}", LOST)
        reason = _lost(unit, code)
        if not self._is_busy():
            self._end(1, f"{reason} before the run began")
            return
        self.ending.settle(LOST, reason)
        self.ending.within(2 * GRACE)

    def _process_done(self, code: int) -> None:
        self.first_code = self.first_code or code
        if not self.running:
            self._end(self.first_code)

    def _end(self, exit_code: int, reason: str = "", state: str = "ended") -> None:
        """The run is over as soon as what still runs has heard of it: SIGTERM, then SIGKILL."""
        self.ending.settle(exit_code, reason, state)
        for pid, unit in self.running.items():
            if not unit.is_slave:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)
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
            self._start(unit)
        self.announcer.alive([unit.key for pid, unit in self.running.items() if pid not in self.stopped])

    def _time_is_up(self) -> None:
        if self.ending.outcome is not None:
            self.running.clear()
            return
        self.ending.extend()
        self._end(124, f"it took longer than its timeout of {self.spec['timeout']} s", "timed out")

    def _patience(self) -> float:
        """Seconds until there is something to do though nothing happens."""
        return min(BEAT, self.ending.left, self.restarts.left)

    def _finish(self) -> None:
        self.announcer.withdraw_all()
        self.capsule.end()
        assert self.ending.outcome is not None
        record.write_exit(self.ending.outcome, self.output)

    def _say(self, text: str) -> None:
        os.write(self.log, f"{text}\n".encode())

    def _print(self, text: str) -> None:
        os.write(self.output, text.encode())


def _answer_caller() -> None:
    """All has started. Who submitted the run may be gone; a run that failed answers by its end."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _lost(slave: Unit, code: int) -> str:
    return f"the slave {slave.hostname} was lost (exit {code})"


def main(folder: str) -> None:
    os.chdir(folder)
    record.take_lock(folder)
    record.write_identity()
    Runner(folder).run()


if __name__ == "__main__":
    main(sys.argv[1])
