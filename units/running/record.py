"""What a run leaves in its folder for whoever comes later: who runs it, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any


def lock(folder: str) -> int:
    """A descriptor that tells others that the run is alive, for as long as any process has it."""
    descriptor = os.open(f"{folder}/lock", os.O_WRONLY | os.O_CREAT, 0o600)
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
    with open("pids", "a") as pids:
        pids.write(f"{name} {pid}\n")


def write_exit(outcome: dict[str, Any], output: int) -> None:
    """Everything the program wrote is on disk before the exit code is."""
    os.fsync(output)
    with open("exit.new", "w") as file:
        json.dump(outcome, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename("exit.new", "exit")
