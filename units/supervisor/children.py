"""State changes of this process's children, read without blocking."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from units.supervisor.exitcode import exit_code

_PF_EXITING = 0x4


def wake(writable: int) -> None:
    """Write to `writable` whenever a child changes state. The runner handles no signal but SIGCHLD."""
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)


def changes() -> Iterator[tuple[int, int | None, bool]]:
    """Yield for each changed child its PID, its exit code once it has ended, and whether it is stopped.

    The kernel merges pending SIGCHLDs: one signal can stand for several children, so all are read.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        except ChildProcessError:
            return
        if pid == 0:
            return
        moves = os.WIFSTOPPED(status) or os.WIFCONTINUED(status)
        yield pid, None if moves else exit_code(status), os.WIFSTOPPED(status)


def is_ending(pid: int) -> bool:
    """Return whether the kernel is ending a child. A slave's first process exits after all its others."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return bool(int(stat.read().rpartition(")")[2].split()[6]) & _PF_EXITING)
    return False
