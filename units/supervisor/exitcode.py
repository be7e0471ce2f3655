"""Exit codes in the shell's convention: 128 + n for signal n."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping

_TAIL = 4096
# mpirun's message on the rank whose death ended it: Open MPI's, then MPICH's. Some of MPICH's name no rank,
# and its proxies can write lines in between.
_KILLED_RANK = (
    re.compile(r"process rank (\d+) with PID \d+ on node (\S+) exited on\s+signal (\d+)"),
    re.compile(r"=\s+(?:RANK (\d+) )?PID \d+ RUNNING AT (\S+)\n(?:.*\n)*?.*EXIT STRING: .*\(signal (\d+)\)"),
)


def exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def signal_of(code: int) -> int:
    """Return the signal that an exit code stands for, 0 for none."""
    return code - 128 if 128 < code < 128 + signal.NSIG else 0


def signal_in_words(number: int) -> str:
    """Return for example `signal 11 (SIGSEGV)`. Real-time signals have no name."""
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def in_words(code: int) -> str:
    """Describe the end of a process that does not pass on another process's exit code."""
    number = signal_of(code)
    return f"was killed by {signal_in_words(number)}" if number else f"ended with {code}"


def lost_in_words(code: int) -> str:
    """Describe the end of a slave that ended before its run."""
    return in_words(code) if signal_of(code) else f"was lost (exit {code})"


def mpich_signal(code: int, output: str) -> int:
    """Return the exit code of MPICH's mpiexec, with 128 added when it stands for a signal.

    mpiexec reports signal n as exit code n, like `exit(n)`: only the tail of the file `output` shows which.
    """
    said = re.search(r"EXIT STRING: .*\(signal (\d+)\)", _last_words(output))
    return 128 + code if said and int(said.group(1)) == code else code


def killed_rank(code: int, output: str, places: Mapping[str, str]) -> str:
    """Return which rank was killed, if the tail of the file `output` fits mpirun's exit code, else empty.

    The program writes to that file too, so the result is only good for a message. `places` maps the slaves'
    hostnames to their displayed names.
    """
    words = _last_words(output) if signal_of(code) else ""
    for pattern in _KILLED_RANK:
        for rank, host, number in pattern.findall(words):
            if host in places and int(number) == signal_of(code):
                who = f"rank {rank}" if rank else "a rank"
                return f"{who} on {places[host]}: killed by {signal_in_words(int(number))}"
    return ""


def _last_words(output: str) -> str:
    with open(output, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read().decode(errors="replace")
