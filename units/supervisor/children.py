"""What happens to a process's children, without waiting for it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from units.supervisor.exitcode import exit_code

_PF_EXITING = 0x4


def wake(writable: int) -> None:
    """Write to a descriptor whenever a child changed; other signals are not for the runner."""
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)


def changes() -> Iterator[tuple[int, int | None, bool]]:
    """Each child's number, its exit code once it has ended, and whether it stands still.

    The kernel merges signals, so all there is to know is asked for.
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
    """Whether the kernel is at ending a child: of a slave's processes, the slave is the last to go."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return bool(int(stat.read().rpartition(")")[2].split()[6]) & _PF_EXITING)
    return False
