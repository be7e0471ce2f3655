"""Exit codes as a shell tells them: a signal is 128 + n."""

from __future__ import annotations

import os
import re

_TAIL = 4096


def exit_code(status: int) -> int:
    """From what `waitpid` says."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def mpich_signal(code: int, output: str) -> int:
    """MPICH's mpiexec answers a signal n with n, like an `exit(n)`; only its last words tell them apart."""
    with open(output, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        said = re.search(rb"EXIT STRING: .*\(signal (\d+)\)", file.read())
    return 128 + code if said and int(said.group(1)) == code else code
