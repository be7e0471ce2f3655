"""What a run leaves in its folder for whoever comes later: who runs it, and how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any

from units import durable

_EXIT = "exit"


def lock(folder: str) -> int:
    """A descriptor that tells others that the run is alive, for as long as any process has it."""
    descriptor = os.open(f"{folder}/lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, f"the runner of {folder}\n".encode())
    return descriptor


def write_identity() -> None:
    """This process's number as the machine counts, while /proc is still the machine's, and its start."""
    pid = os.readlink("/proc/self")
    with open("/proc/self/stat") as stat:
        started = stat.read().rpartition(")")[2].split()[19]
    with open("pid.new", "w") as file:
        file.write(f"{pid} {started}")
    os.rename("pid.new", "pid")


def note_unit(name: str, pid: int) -> None:
    """Under which number a unit runs, as this capsule counts."""
    with contextlib.suppress(OSError), open("pids", "a") as pids:  # the disk may be full
        pids.write(f"{name} {pid}\n")


def keep_room() -> None:
    """For how the run ends: its program may have filled the disk by then."""
    durable.keep_room(_EXIT)


def write_exit(outcome: dict[str, Any], output: int) -> None:
    """Everything the program wrote is on disk before the exit code is, but for what a full one refused."""
    with contextlib.suppress(OSError):
        os.fsync(output)
    durable.write(_EXIT, json.dumps(outcome))
