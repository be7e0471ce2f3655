"""Exit codes as a shell tells them: a signal is 128 + n."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping

_TAIL = 4096
# What mpirun says of the rank over which it ended: Open MPI's, then MPICH's, some of which name no rank, and
# whose proxies may have something to say in between.
_KILLED_RANK = (
    re.compile(r"process rank (\d+) with PID \d+ on node (\S+) exited on\s+signal (\d+)"),
    re.compile(r"=\s+(?:RANK (\d+) )?PID \d+ RUNNING AT (\S+)\n(?:.*\n)*?.*EXIT STRING: .*\(signal (\d+)\)"),
)


def exit_code(status: int) -> int:
    """From what `waitpid` says."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def signal_of(code: int) -> int:
    """The signal that an exit code stands for, 0 for none."""
    return code - 128 if 128 < code < 128 + signal.NSIG else 0


def signal_in_words(number: int) -> str:
    """`signal 11 (SIGSEGV)`; one for real time has no name of its own."""
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def in_words(code: int) -> str:
    """How a process ended that does not itself answer with the exit code of another."""
    number = signal_of(code)
    return f"was killed by {signal_in_words(number)}" if number else f"ended with {code}"


def lost_in_words(code: int) -> str:
    """What is said of a slave that has ended before its run."""
    return in_words(code) if signal_of(code) else f"was lost (exit {code})"


def mpich_signal(code: int, output: str) -> int:
    """MPICH's mpiexec answers a signal n with n, like an `exit(n)`; only its last words tell them apart."""
    said = re.search(r"EXIT STRING: .*\(signal (\d+)\)", _last_words(output))
    return 128 + code if said and int(said.group(1)) == code else code


def killed_rank(code: int, output: str, places: Mapping[str, str]) -> str:
    """Which rank mpirun ended over, where the last words in the file `output` fit its exit code; else empty.

    Others write there too: these are words and nothing more. `places` says of each slave's hostname how to
    call it.
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
