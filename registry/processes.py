"""Processes that outlive the one that started them: at most one for each lock file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from registry.errors import RegistryError

# Seconds: the timeouts for a process to come up, and to end.
START, STOP = 30.0, 10.0
# Seconds between two polls of a process that does not notify us when it is ready.
ASK_AGAIN = 0.02


class PidLock:
    """A file whose lock a process holds for its lifetime, with its pid inside.

    The lock belongs to the open file: a child that inherits `descriptor` holds it after this process closes.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        """Take the lock without waiting. Return False when another process holds it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def write(self, pid: int) -> None:
        os.pwrite(self.descriptor, f"{pid:<20}".encode(), 0)

    def owner(self) -> int:
        """Return the pid of the process that holds the lock, or held it last; 0 when unknown."""
        text = os.pread(self.descriptor, 20, 0).strip()
        return int(text) if text.isdigit() else 0

    def close(self) -> None:
        os.close(self.descriptor)


class Died(RegistryError):
    """The process ended before it was ready."""


@dataclass(frozen=True)
class Detached:
    """A process in its own session, which notifies its starter when it is ready, by sd_notify's protocol."""

    name: str
    lock: Path
    log: Path

    def pid(self) -> int | None:
        """Return its pid; None when it does not run."""
        if not self.lock.exists():
            return None
        with self.closed_door() as lock:
            return None if lock.take() else lock.owner()

    def stop(self) -> None:
        """End the process, if it runs, and wait until it has ended. Raise RegistryError if it does not."""
        if not self.lock.exists():
            return
        with self.closed_door() as lock:
            if lock.take():
                return
            _end(lock.owner())
            if not lock.take():
                raise RegistryError(f"{self.name} does not end.", f"See {self.log}.")

    def stop_other(self, version: str) -> bool:
        """End the process if it was launched with another `version`. Return whether that was so."""
        with self.closed_door() as lock:
            runs = not lock.take()
            is_other = runs and self._launched() != f"{lock.owner()} {version}"
        # Outside the `with`: `stop` takes the door itself, and would wait for this descriptor's lock forever.
        if is_other:
            self.stop()
        return is_other

    def _launched(self) -> str:
        """Return "PID VERSION" of the last launch; "" when an older version of nap left no such record."""
        with suppress(FileNotFoundError):
            return self._version.read_text()
        return ""

    @property
    def _version(self) -> Path:
        return self.lock.with_suffix(".version")

    @contextmanager
    def closed_door(self) -> Iterator[PidLock]:
        """Yield the lock, while no other caller of this method can test it or launch the process.

        A test takes the lock for a moment: another test at that moment would find a running process.
        """
        door_path = self.lock.with_suffix(".door")
        with closing(PidLock(door_path)) as door, closing(PidLock(self.lock)) as lock:
            door.wait()
            yield lock

    def launch(
        self,
        argv: Sequence[str],
        env: dict[str, str],
        lock: PidLock | None,
        answers: Callable[[], bool] | None = None,
        version: str = "",
    ) -> int:
        """Start the process in the lock's folder, and wait until it is ready; return its pid.

        Call this within `closed_door`. The process inherits `lock`, or takes the lock itself. `answers` is
        polled for a process that cannot notify us. `version` is recorded for `stop_other`. Raise Died when it
        ends before it is ready, RegistryError when it is not ready in 30 s; both have the log's last lines.
        """
        with self._notices() as notices, self.log.open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.lock.parent,
                env={**env, "NOTIFY_SOCKET": self._notify.name},
                pass_fds=[lock.descriptor] if lock else [],
                start_new_session=True,
            )
            if lock:
                lock.write(process.pid)
            if not _is_ready(notices, process.pid, answers):
                self._give_up(process)
            self._version.write_text(f"{process.pid} {version}")
            return process.pid

    @property
    def _notify(self) -> Path:
        return self.lock.with_suffix(".notify")

    @contextmanager
    def _notices(self) -> Iterator[socket.socket]:
        """Yield the socket for its notification. It is bound by its name: a path is limited to 107 bytes."""
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notices:
            self._notify.unlink(missing_ok=True)
            folder = os.open(self.lock.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                notices.bind(f"/proc/self/fd/{folder}/{self._notify.name}")
            finally:
                os.close(folder)
            try:
                yield notices
            finally:
                self._notify.unlink(missing_ok=True)

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        code = process.poll()
        process.kill()
        process.wait()
        how = f"was not ready in {START:g} s" if code is None else f"ended with {code}"
        kind = RegistryError if code is None else Died
        lines = self.log.read_text(errors="replace").splitlines()[-3:]
        last = "; ".join(_log_message(line) for line in lines)
        raise kind(f"{self.name} {how}: {last or 'its log is empty'}.", f"See {self.log}.")


def version_of(program: str, *settings: object) -> str:
    """Return a version for a third-party program: a hash of its path, size, mtime and `settings`."""
    path = Path(program).resolve()
    facts = path.stat()
    words = (str(path), facts.st_size, facts.st_mtime_ns, *settings)
    return hashlib.sha256(repr(words).encode()).hexdigest()


def tell_starter() -> None:
    """Notify the starter that this process is ready, by sd_notify's protocol."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as starter:
            starter.sendto(b"READY=1", address)


def _is_ready(notices: socket.socket, pid: int, answers: Callable[[], bool] | None) -> bool:
    deadline = time.monotonic() + START
    with _watched(pid) as process:
        while (left := deadline - time.monotonic()) > 0:
            patience = min(left, ASK_AGAIN) if answers else left
            readable, _, _ = select.select([notices.fileno(), process], [], [], patience)
            if readable:
                return notices.fileno() in readable
            if answers and answers():
                return True
    return False


def _log_message(line: str) -> str:
    """Return the message and error of a structured log line, or the line itself."""
    try:
        entry = json.loads(line)
        return ": ".join(str(entry[part]) for part in ("msg", "error") if part in entry)
    except (ValueError, TypeError):
        return line.strip()[:200]


def _end(pid: int) -> None:
    """End a process: SIGTERM first, SIGKILL when it is still there after 10 s."""
    try:
        with _watched(pid) as process:
            for request in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(process, request)
                if select.select([process], [], [], STOP)[0]:
                    return
    except ProcessLookupError:
        return


@contextmanager
def _watched(pid: int) -> Iterator[int]:
    """Yield a pidfd, which becomes readable when the process has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
