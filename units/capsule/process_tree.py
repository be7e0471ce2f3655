"""The processes that descend from one, found in /proc and ended."""

from __future__ import annotations

import contextlib
import os
import signal


def of(pid: int) -> list[int]:
    """Children first. What is started while this looks may be missing."""
    found = _children(pid)
    for child in found:
        found += of(child)
    return found


def _children(pid: int) -> list[int]:
    """Of all its threads."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
    return children


def kill_marked(ancestor: int, mark: str) -> None:
    """Kill all with `mark` in their environment that descend from `ancestor`, and their descendants."""
    while marked := [pid for pid in of(ancestor) if _has(pid, mark)]:
        for pid in marked:
            for victim in (pid, *of(pid)):
                _kill(victim)


def _has(pid: int, mark: str) -> bool:
    """A process that has ended has no environment any more."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
        return mark.encode() in environ.read().split(b"\0")
    return False


def end_all() -> None:
    """End all that descend from the caller, which adopts orphans: what forks meanwhile comes next."""
    while victims := of(os.getpid()):
        for pid in victims:
            _kill(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
