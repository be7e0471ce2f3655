"""Find and kill the descendants of a process by reading /proc."""

from __future__ import annotations

import contextlib
import os
import signal


def of(pid: int) -> list[int]:
    """Return the PIDs of a process's descendants, children first. Those started meanwhile can be missing."""
    found = [pid]
    for parent in found:  # which grows meanwhile: each is asked once
        found += _children(parent)
    return found[1:]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
    return children


def kill_marked(ancestor: int, mark: str) -> None:
    """Kill the descendants of `ancestor` with `mark` in their environment, and all of their descendants.

    Repeat until none is left: a process can fork while /proc is read.
    """
    while marked := [pid for pid in of(ancestor) if _has(pid, mark)]:
        for pid in marked:
            for victim in (pid, *of(pid)):
                _kill(victim)


def _has(pid: int, mark: str) -> bool:
    """Return whether a process has `mark` in its environment; an ended process has none."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
        return mark.encode() in environ.read().split(b"\0")
    return False


def end_all() -> None:
    """Kill all descendants of the caller, which adopts orphans. Repeat, because they can fork meanwhile."""
    while victims := of(os.getpid()):
        for pid in victims:
            _kill(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
