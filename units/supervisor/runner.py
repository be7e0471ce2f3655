"""The life of a run: start the units, send heartbeats, record the exit code.

The runner needs no daemon: it holds a lock on the run's folder, lets the program write straight to
`output`, and leaves `exit` behind. Commands are lines read from the FIFO `control`: `start`, and `stop`
with an outcome in JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import time
from collections.abc import Callable
from typing import Any

from units.errors import UnitError
from units.supervisor import record
from units.supervisor.announcer import Announcer
from units.supervisor.backend import Backend, Change, Streams
from units.supervisor.daemons import Daemons
from units.supervisor.deadline import Ending
from units.supervisor.exitcode import in_words, killed_rank, lost_in_words, mpich_signal
from units.supervisor.restarts import Restarts
from units.supervisor.unit import Unit, read_units

BEAT = 5.0
GRACE = 5.0
# Seconds for mpirun's daemons to end after an mpirun that ended with 0.
DAEMONS_END_WITHIN = 30.0
LOST = 137


def take_folder(folder: str, lock: str) -> tuple[dict[str, Any], Streams]:
    """Make this process the runner of `folder`. Return the run's spec and the descriptors to write to.

    `lock` is the number of the descriptor of the run's lock. No unit inherits it.
    """
    os.set_inheritable(int(lock), False)
    os.chdir(folder)
    record.keep_room()
    record.write_identity()
    with open("run.json") as file:
        spec: dict[str, Any] = json.load(file)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return spec, Streams(output=os.open("output", flags, 0o600), log=os.open("units.log", flags, 0o600))


class Runner:
    """The life of one run: `run` returns when it is over."""

    def __init__(self, spec: dict[str, Any], streams: Streams, backend: Backend, lock: int) -> None:
        """`lock` is the descriptor of the run's lock: callers that wait for the run wait for its release."""
        self.lock = lock
        self.spec = spec
        self.streams = streams
        self.backend = backend
        self.waiting = read_units("units")
        self.announcer = Announcer(os.open(spec["home"], os.O_PATH))
        self.running: dict[str, Unit] = {}
        self.starting: set[str] = set()
        self.started_at: dict[str, float] = {}
        self.restarts = Restarts()
        self.ending = Ending()
        hostnames = [unit.hostname for unit in self.waiting if unit.is_slave]
        self.places = dict(zip(hostnames, hostnames, strict=True))
        self.daemons = Daemons(self.places, backend.over_ssh)
        # The ended master with its exit code and reason, until daemons and slaves confirm or refute them.
        self.judged: tuple[Unit, int, str] | None = None
        self.first_code = 0
        self.began = 0.0

    def run(self) -> None:
        try:
            self.backend.arrange(self.waiting)
        except (OSError, UnitError) as error:
            self._end(1, f"the run's surroundings could not be arranged: {error}")
        else:
            self._live()
        self._finish()

    def _live(self) -> None:
        with selectors.DefaultSelector() as selector:
            # O_RDWR: with a writer of its own the FIFO never reports end of file.
            control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
            selector.register(control, selectors.EVENT_READ)
            selector.register(self.backend.wakes, selectors.EVENT_READ)
            self._start_first()
            while not self._is_over():
                for key, _ in selector.select(self._patience()):
                    if key.fd == control:
                        self._obey(os.read(control, 1 << 16).decode(errors="replace"))
                for change in self.backend.changes():
                    self._hear(change)
                self._judge()
                self._keep_time()

    def _start_first(self) -> None:
        """Start all units but the master, which waits for its hostfile."""
        first = [unit for unit in self.waiting if unit.kind != "master"]
        self.waiting = [unit for unit in self.waiting if unit.kind == "master"]
        self.starting = {unit.name for unit in first}
        for unit in first:
            self._start(unit)
        if not self.waiting:
            self._limit_time()

    def _start_master(self) -> None:
        """Start the master, once only: a restarted daemon can repeat the command."""
        while self.waiting:
            self._start(self.waiting.pop())
            self._limit_time()

    def _limit_time(self) -> None:
        """Start the clock of the run's timeout: the program runs from here on."""
        self.began = time.time()
        if self.spec["timeout"]:
            self.ending.within(self.spec["timeout"])

    def _start(self, unit: Unit) -> None:
        self.started_at[unit.name] = time.monotonic()
        try:
            self.backend.start(unit)
        except OSError as error:
            self._end(127, f"{unit.name} did not start: {error}")
            return
        self.running[unit.name] = unit

    def _obey(self, lines: str) -> None:
        """Execute commands and ignore other lines: in a plain capsule the program can write here too."""
        for line in lines.split("\n"):
            verb, _, rest = line.partition(" ")
            if verb == "start":
                self._start_master()
            elif verb == "stop":
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    told = json.loads(rest)
                    self._end(int(told["exit_code"]), str(told["reason"]), str(told["state"]))

    def _hear(self, change: Change) -> None:
        unit = change.unit
        if unit.name not in self.running:
            return
        if change.kind == "ended":
            self._ended(unit, change)
        elif change.kind == "daemon":
            self._daemon_changed(unit, change.value)
        elif change.kind == "ready":
            if unit.key:
                self.announcer.announce(unit.key, change.value)
        else:
            self._say(f"{unit.name} started")
            self._is_up(unit)

    def _is_up(self, unit: Unit) -> None:
        """Answer the submitter once all units have started. A run that fails first answers by its end."""
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
            self._master_ended(unit, mpich_signal(code, "output") if unit.mpich else code, change.reason)
        elif not self.spec["service"]:
            self._process_done(change)
        elif self.ending.outcome is None:
            self._again(unit, code)

    def _again(self, unit: Unit, code: int) -> None:
        """Restart a service's unit after a delay. The waiter decides whether the service came up."""
        self._is_up(unit)
        pause = self.restarts.add(unit, time.monotonic() - self.started_at[unit.name])
        self._print(f"nap: {unit.hostname} {in_words(code)}; starting it again in {pause:.0f} s\n")

    def _daemon_changed(self, slave: Unit, word: str) -> None:
        """Note a daemon's start or end. mpirun can wait forever for a killed one, so that limits the run."""
        self.daemons.note(slave.hostname, word)
        if killed := self.daemons.killed:
            self.ending.settle(LOST, self.backend.remark() or killed)
            self.ending.within(2 * GRACE)

    def _master_ended(self, unit: Unit, code: int, reason: str) -> None:
        """Keep the master's end for `_judge` instead of settling the outcome now.

        mpirun can notice a slave's end before that slave has ended completely, and Open MPI's can then exit
        with 0.
        """
        self.judged = (unit, code, reason or (self.backend.remark() if code else ""))
        self.ending.extend()
        self.ending.within(GRACE if code else DAEMONS_END_WITHIN)

    def _judge(self, time_is_up: bool = False) -> None:
        """Settle the outcome: a run succeeds only if mpirun, all its daemons and all slaves do."""
        if self.judged is None or self.ending.outcome is not None:
            return
        master, code, reason = self.judged
        dying = self._dying()
        if (dying or self.daemons.running) and not time_is_up:
            return
        if dying:
            self._end(LOST, reason or f"the slave {dying.hostname} was lost")
        elif finding := self.daemons.finding(strict=code == 0 and not master.script):
            self._end(code or LOST, reason or finding)
        else:
            self._end(code, reason or killed_rank(code, "output", self.places))

    def _dying(self) -> Unit | None:
        """Return a slave that has begun to end but was not reported yet."""
        slaves = (unit for unit in self.running.values() if unit.is_slave)
        return next((unit for unit in slaves if self._is_dying(unit)), None)

    def _is_dying(self, slave: Unit) -> bool:
        gone = slave.hostname in self.daemons.unanswered and not self.backend.answers(slave)
        return gone or self.backend.is_ending(slave)

    def _slave_lost(self, unit: Unit, change: Change) -> None:
        """Release the agents that wait for this slave. mpirun notices by itself and gets time for that."""
        self.backend.end_slave(unit, LOST)
        self.daemons.lose(unit.hostname)
        reason = change.reason or f"the slave {unit.hostname} {lost_in_words(change.code)}"
        if not self._is_busy() and self.judged is None:
            self._end(1, f"{reason} before the run began")
            return
        self.ending.settle(LOST, reason)
        self.ending.within(2 * GRACE)

    def _process_done(self, change: Change) -> None:
        self.first_code = self.first_code or change.code
        if not self.running:
            self._end(self.first_code, change.reason or (self.backend.remark() if self.first_code else ""))

    def _end(self, exit_code: int, reason: str = "", state: str = "ended") -> None:
        """Settle the outcome and ask what still runs to end. After the grace period it is ended by force."""
        self.ending.settle(exit_code, reason, state)
        for unit in self.running.values():
            if not unit.is_slave:
                self.backend.terminate(unit)
        self.ending.within(GRACE)

    def _is_busy(self) -> bool:
        """Return whether a unit other than a slave runs: slaves alone are no run."""
        return any(not unit.is_slave for unit in self.running.values())

    def _is_over(self) -> bool:
        return self.ending.outcome is not None and not self._is_busy()

    def _keep_time(self) -> None:
        if self.ending.left == 0.0:
            self._time_is_up()
        for unit in self.restarts.take_due():
            if self.ending.outcome is None:
                self._start(unit)
        self.announcer.alive(self.backend.alive())

    def _time_is_up(self) -> None:
        if self.ending.outcome is not None:
            self.running.clear()
            return
        if self.judged:
            self._judge(time_is_up=True)
            return
        self.ending.extend()
        self._end(124, f"it took longer than its timeout of {self.spec['timeout']} s", "timed out")

    def _patience(self) -> float:
        """Return the seconds until the next heartbeat, deadline or restart."""
        return min(BEAT, self.ending.left, self.restarts.left)

    def _finish(self) -> None:
        """Record the outcome first: the exit code then exists whatever fails later. Then bring the results.

        Releasing the lock notifies the waiters. Cleanup follows, because nobody waits for it.
        """
        self.announcer.withdraw_all()
        assert self.ending.outcome is not None
        times = {"started": self.began, "ended": time.time()}
        record.write_exit({**self.ending.outcome, **times}, self.streams.output)
        self._try(self.backend.end, "its results could not all be kept")
        os.close(self.lock)
        self._try(self.backend.clean_up, "what is left of the run could not be taken away")

    def _try(self, step: Callable[[], None], failed: str) -> None:
        try:
            step()
        except (OSError, UnitError) as error:
            self._say(f"{failed}: {error}")

    def _say(self, text: str) -> None:
        _write(self.streams.log, f"{text}\n")

    def _print(self, text: str) -> None:
        _write(self.streams.output, text)


def _write(descriptor: int, text: str) -> None:
    """Write a text, or drop it when that fails, as on a full disk: the run goes on."""
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode())


def _answer_caller() -> None:
    """Report to the submitter, which can have ended, that all units have started; close stdout."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
