"""Processes that outlive who started them: one a lock file, started once, ended for certain."""

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

# Seconds a process has to come up, and to go.
START, STOP = 30.0, 10.0
# Seconds between two questions to one that does not say itself when it is ready.
ASK_AGAIN = 0.02


class PidLock:
    """A file whose lock a process holds as long as it lives, with its pid inside.

    A child that inherits `descriptor` holds the lock too, after this process has closed it.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        """False when another process has it."""
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
        """The pid inside: that of who holds the lock, or held it last; 0 when it is not known."""
        text = os.pread(self.descriptor, 20, 0).strip()
        return int(text) if text.isdigit() else 0

    def close(self) -> None:
        os.close(self.descriptor)


class Died(RegistryError):
    """A process that ended before it was ready."""


@dataclass(frozen=True)
class Detached:
    """A process of its own session that says when it is ready, the way systemd's services do."""

    name: str
    lock: Path
    log: Path

    def pid(self) -> int | None:
        """None when it does not run."""
        if not self.lock.exists():
            return None
        with self.closed_door() as lock:
            return None if lock.take() else lock.owner()

    def stop(self) -> None:
        """End it; it is gone when this returns. Nothing to do when it does not run."""
        if not self.lock.exists():
            return
        with self.closed_door() as lock:
            if lock.take():
                return
            _end(lock.owner())
            if not lock.take():
                raise RegistryError(f"{self.name} does not end.", f"See {self.log}.")

    def stop_other(self, version: str) -> bool:
        """End one that was launched as anything but `version`; whether there was one."""
        with self.closed_door() as lock:
            runs = not lock.take()
            is_other = runs and self._launched() != f"{lock.owner()} {version}"
        if is_other:
            self.stop()
        return is_other

    def _launched(self) -> str:
        """Of which process it is known as what it was launched; older ones than this record left none."""
        with suppress(FileNotFoundError):
            return self._version.read_text()
        return ""

    @property
    def _version(self) -> Path:
        return self.lock.with_suffix(".version")

    @contextmanager
    def closed_door(self) -> Iterator[PidLock]:
        """The lock, while nobody else looks whether it is taken."""
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
        """Start it behind the closed door, in the lock's folder, and wait until it is ready; return its pid.

        It inherits `lock`, or takes its own. `answers` is asked again and again where the process
        cannot say itself that it is ready. `version` is what `stop_other` goes by. Raises RegistryError
        with the log's last lines.
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
        """Where it says that it is ready. By its name alone: a socket's path may have 107 bytes."""
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
    """What a program of others is launched as: its file, and all that it is told."""
    path = Path(program).resolve()
    facts = path.stat()
    words = (str(path), facts.st_size, facts.st_mtime_ns, *settings)
    return hashlib.sha256(repr(words).encode()).hexdigest()


def tell_starter() -> None:
    """In the process itself: it is ready, said the way of sd_notify."""
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
    """The message and error of a structured log line, or the line."""
    try:
        entry = json.loads(line)
        return ": ".join(str(entry[part]) for part in ("msg", "error") if part in entry)
    except (ValueError, TypeError):
        return line.strip()[:200]


def _end(pid: int) -> None:
    """End a process, by force when it does not go by itself."""
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
    """A descriptor that becomes readable when the process has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
