"""Processes that can be another process's children, identified by PID and start time."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path


def start_time(pid: int) -> str:
    """Return field 22 of /proc/PID/stat, clock ticks since boot: together with the PID it is unique."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def find(identity: str) -> int | None:
    """Return the PID of the process that `identity` ("PID STARTTIME") names, None when it has ended."""
    pid, _, started = identity.partition(" ")
    with contextlib.suppress(OSError, ValueError, IndexError):
        if start_time(int(pid)) == started.strip() and state(int(pid)) != "ended":
            return int(pid)
    return None


def of_session(leader: int) -> list[int]:
    """Return the PIDs of the session that `leader` began, even if the leader has ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(path.name))
    return found


def wait(pid: int, seconds: float | None) -> bool:
    """Wait up to `seconds`, None for no limit, for the process to end. Return whether it has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(descriptor)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def state(pid: int) -> str:
    """Return `alive`, `stopped` (by a signal) or `ended`; a zombie has ended."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "ended"
    return {"T": "stopped", "t": "stopped", "Z": "ended"}.get(letter, "alive")


def numbers(runner: int, record: Path) -> dict[str, int]:
    """Return the machine's PIDs of a runner's units by name. `record` has those of the runner's namespace."""
    outer = {inside: pid for pid in _children(runner) if (inside := _inner_number(pid))}
    return {name: outer[pid] for name, pid in written(record).items() if pid in outer}


def written(record: Path) -> dict[str, int]:
    """Return the PIDs of a runner's units by name, as the runner recorded them."""
    try:
        lines = [line.rpartition(" ") for line in record.read_text().splitlines()]
    except FileNotFoundError:
        return {}
    return {name: int(pid) for name, _, pid in lines}


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _inner_number(pid: int) -> int | None:
    """Return a runner's child's PID in the capsule: the second of `NSpid`, if there is more than one."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found = next(line for line in lines if line.startswith("NSpid:")).split()[1:]
        return int(found[1] if len(found) > 1 else found[0])
    return None
