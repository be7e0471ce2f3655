"""The first process of a run's capsule: starts the units, tells who is alive, keeps the exit code.

    runner.py FOLDER        (under `unshare`, without `site`; the standard library alone)

It needs no daemon: it holds a lock on the run's folder, lets the program write straight to
`output`, and leaves `exit` behind. When it ends, the kernel ends every process of the run.
Commands come in as lines through the FIFO `control`: `start`, and `stop` with an outcome in JSON.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.local import capsule, network
from units.local.announcer import Announcer
from units.local.exitcode import exit_code, mpich_signal
from units.local.spawn import Spawned

BEAT = 5.0
GRACE = 5.0
STEADY = 60.0
LONGEST_PAUSE = 60.0

Unit = dict[str, Any]


class Runner:
    """One run's life: `run` returns when it is over."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open("run.json") as file:
            self.spec: dict[str, Any] = json.load(file)
        self.units = _read_units()
        self.log = os.open("units.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.announcer = Announcer(os.open(self.spec["home"], os.O_PATH))
        self.running: dict[int, Unit] = {}
        self.stopped: set[int] = set()
        self.due: list[tuple[float, Unit]] = []
        self.pauses: dict[str, float] = {}
        self.started_at: dict[int, float] = {}
        self.deadline: float | None = None
        self.outcome: dict[str, Any] | None = None
        self.first_code = 0

    def run(self) -> None:
        try:
            self._arrange()
        except OSError as error:
            self._end(1, f"the run's capsule could not be arranged: {error}")
        else:
            self._live()
        self._finish()

    def _live(self) -> None:
        with selectors.DefaultSelector() as selector:
            control = os.open("control", os.O_RDWR | os.O_NONBLOCK)
            selector.register(control, selectors.EVENT_READ)
            selector.register(_child_signals(), selectors.EVENT_READ)
            self._start_first()
            _answer_caller(self.outcome is None)
            while not self._over():
                for key, _ in selector.select(self._patience()):
                    data = os.read(key.fd, 4096)
                    if key.fd == control:
                        self._obey(data.decode())
                self._reap()
                self._keep_time()

    def _arrange(self) -> None:
        for place in sorted({unit["place"] for unit in self.units if "place" in unit}):
            capsule.place(self.spec["tree"], f"{self.folder}/places/{place}")
        if self.spec["private_network"]:
            network.bring_up()
        capsule.know_each_other("hosts")
        capsule.arrange(self.spec["home"], [self.folder], self.spec["visible"])
        os.chdir(self.folder)

    def _start_first(self) -> None:
        for unit in self.units:
            if unit["kind"] in ("slave", "process"):
                self._start(unit)
        if not any(unit["kind"] == "slave" for unit in self.units):
            self._set_deadline()

    def _start(self, unit: Unit) -> None:
        place = f"{self.folder}/places/{unit['place']}"
        slave = unit["kind"] == "slave"
        if slave:
            os.mkfifo(f"{place}/requests", 0o600)
        spawned = Spawned(
            argv=unit["argv"],
            env=unit["env"],
            hostname=unit["hostname"],
            folder=self.folder,
            place=place,
            output=self.log if slave else self.output,
            errors=self.log if slave else self.output,
            apart=slave,
        )
        try:
            pid = spawned.start()
        except OSError as error:
            self._end(127, f"{unit['name']} did not start: {unit['argv'][0]}: {error}")
            return
        self.running[pid] = unit
        self.started_at[pid] = time.monotonic()
        self._record(f"{unit['name']} {pid}\n")
        self._say(f"{unit['name']} started")
        for discovery in self._announcements(unit):
            self.announcer.announce(discovery["key"], discovery["value"])

    def _announcements(self, unit: Unit) -> list[Unit]:
        return [other for other in self.units if other.get("announces") == unit["name"]]

    def _obey(self, lines: str) -> None:
        for line in lines.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "start":
                self._start_master()
            elif verb == "stop":
                self._end(**json.loads(rest))

    def _start_master(self) -> None:
        """Once: a daemon that comes back may say it again."""
        masters = [unit for unit in self.units if unit["kind"] == "master"]
        self.units = [unit for unit in self.units if unit["kind"] != "master"]
        for master in masters:
            self._start(master)
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self.spec["timeout"]:
            self.deadline = time.monotonic() + self.spec["timeout"]

    def _reap(self) -> None:
        """Take in whatever ended, was stopped or goes on: the kernel merges signals, so ask for all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                self.stopped.add(pid)
            elif os.WIFCONTINUED(status):
                self.stopped.discard(pid)
            elif pid in self.running:
                self._ended(pid, exit_code(status))

    def _ended(self, pid: int, code: int) -> None:
        unit = self.running.pop(pid)
        lived = time.monotonic() - self.started_at.pop(pid)
        self._say(f"{unit['name']} ended with {code}")
        for discovery in self._announcements(unit):
            self.announcer.withdraw(discovery["key"])
        if unit["kind"] == "master":
            self._end(mpich_signal(code, "output") if unit["mpich"] else code)
        elif unit["kind"] == "slave":
            self._slave_lost(unit, code)
        elif self.spec["service"]:
            self._restart_later(unit, code, lived)
        else:
            self._process_done(code)

    def _slave_lost(self, unit: Unit, code: int) -> None:
        """Free whoever waits for this slave; mpirun notices by itself, and is given the time to."""
        place = f"{self.folder}/places/{unit['place']}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{place}/requests")
        for name in os.listdir(place):
            if name.endswith(".status"):
                _answer(f"{place}/{name}", 137)
        reason = f"the slave {unit['hostname']} was lost (exit {code})"
        if not any(other["kind"] == "master" for other in self.running.values()):
            self._end(1, f"{reason} before the run began")
            return
        self.outcome = self.outcome or {"exit_code": 137, "reason": reason, "state": "ended"}
        self._within(2 * GRACE)

    def _restart_later(self, unit: Unit, code: int, lived: float) -> None:
        """Back off as long as it keeps crashing: 1 s, then twice as long each time, 60 s at most."""
        before = 0.0 if lived >= STEADY else self.pauses.get(unit["name"], 0.0)
        pause = min(LONGEST_PAUSE, before * 2 or 1.0)
        self.pauses[unit["name"]] = pause
        self._print(f"nap: {unit['hostname']} ended with {code}; starting it again in {pause:.0f} s\n")
        self.due.append((time.monotonic() + pause, unit))

    def _process_done(self, code: int) -> None:
        self.first_code = self.first_code or code
        if not self.running:
            self._end(self.first_code)

    def _end(self, exit_code: int, reason: str = "", state: str = "ended") -> None:
        """The run is over as soon as what still runs has heard of it: SIGTERM, then the kernel."""
        if self.outcome is None:
            self.outcome = {"exit_code": exit_code, "reason": reason, "state": state}
        for pid, unit in self.running.items():
            if unit["kind"] != "slave":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)
        self._within(GRACE)

    def _within(self, seconds: float) -> None:
        last = time.monotonic() + seconds
        self.deadline = min(self.deadline or last, last)

    def _over(self) -> bool:
        busy = any(unit["kind"] != "slave" for unit in self.running.values())
        return self.outcome is not None and not busy

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            if self.outcome is None:
                self.deadline = None
                reason = f"it took longer than its timeout of {self.spec['timeout']} s"
                self._end(124, reason, "timed out")
            else:
                self.running.clear()
        for entry in [entry for entry in self.due if entry[0] <= now]:
            self.due.remove(entry)
            self._start(entry[1])
        if self.running:
            self.announcer.alive(self._alive_keys())

    def _alive_keys(self) -> list[str]:
        alive = [unit for pid, unit in self.running.items() if pid not in self.stopped]
        return [discovery["key"] for unit in alive for discovery in self._announcements(unit)]

    def _patience(self) -> float:
        """Seconds until there is something to do though nothing happens."""
        moments = [due for due, _ in self.due] + ([self.deadline] if self.deadline else [])
        next_moment = min(moments, default=float("inf")) - time.monotonic()
        return max(0.0, min(BEAT, next_moment))

    def _finish(self) -> None:
        """Everything the program wrote is on disk before the exit code is."""
        for unit in self.units:
            if "key" in unit:
                self.announcer.withdraw(unit["key"])
        os.fsync(self.output)
        with open("exit.new", "w") as file:
            json.dump(self.outcome, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename("exit.new", "exit")

    def _record(self, line: str) -> None:
        """Under which number a unit runs, as this capsule counts."""
        with open("pids", "a") as pids:
            pids.write(line)

    def _say(self, text: str) -> None:
        os.write(self.log, f"{text}\n".encode())

    def _print(self, text: str) -> None:
        os.write(self.output, text.encode())


def _read_units() -> list[Unit]:
    units = []
    for name in sorted(os.listdir("units")):
        with open(f"units/{name}") as file:
            units.append(json.load(file))
    return sorted(units, key=lambda unit: int(unit.get("index", 0)))


def _answer_caller(ready: bool) -> None:
    """One line to whoever submitted the run, and the pipe is closed; that one may be gone already."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"ready\n" if ready else b"failed\n")
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _answer(path: str, status: int) -> None:
    """Write to a FIFO if somebody reads it."""
    with contextlib.suppress(OSError):
        fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fifo, f"{status}\n".encode())
        os.close(fifo)


def _child_signals() -> int:
    """A descriptor that can be read whenever a child changed; other signals are not for the runner."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _write_identity() -> None:
    """This process's number as the machine counts, while /proc is still the machine's, and its start."""
    pid = os.readlink("/proc/self")
    with open("/proc/self/stat") as stat:
        started = stat.read().rpartition(")")[2].split()[19]
    with open("pid.new", "w") as file:
        file.write(f"{pid} {started}")
    os.rename("pid.new", "pid")


def main(folder: str) -> None:
    os.chdir(folder)
    lock = os.open("lock", os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, f"the runner of {folder}\n".encode())
    _write_identity()
    Runner(folder).run()


if __name__ == "__main__":
    main(sys.argv[1])
