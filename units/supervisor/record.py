"""The record of a run in its folder: its lock, its runner's identity, its units' PIDs and its outcome."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any

from units import durable

_EXIT = "exit"


def lock(folder: str) -> int:
    """Take the run's lock and return its descriptor. The run is alive while any process has it open."""
    descriptor = os.open(f"{folder}/lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, f"the runner of {folder}\n".encode())
    return descriptor


def write_identity() -> None:
    """Write this process's PID and start time to `pid`.

    /proc is still the machine's here, so `/proc/self` has the machine's PID, not the capsule's.
    """
    pid = os.readlink("/proc/self")
    with open("/proc/self/stat") as stat:
        started = stat.read().rpartition(")")[2].split()[19]
    with open("pid.new", "w") as file:
        file.write(f"{pid} {started}")
    os.rename("pid.new", "pid")  # readers never see a partial file


def note_unit(name: str, pid: int) -> None:
    """Record a unit's PID in the PID namespace of this process."""
    with contextlib.suppress(OSError), open("pids", "a") as pids:  # the disk may be full
        pids.write(f"{name} {pid}\n")


def keep_room() -> None:
    """Reserve disk space for the outcome: the program can have filled the disk by then."""
    durable.keep_room(_EXIT)


def write_exit(outcome: dict[str, Any], output: int) -> None:
    """Write the outcome to disk, after the program's output, except for what a full disk refused."""
    with contextlib.suppress(OSError):
        os.fsync(output)
    durable.write(_EXIT, json.dumps(outcome))
