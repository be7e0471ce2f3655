"""Run a command and kill everything that it leaves behind: `subreaper.py ARGV...`.

The replacement for `unshare --pid --fork --kill-child`. A second process, the guard, adopts the orphans of
ARGV and kills them when ARGV ends, and also when the first process is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from units.capsule import namespaces, process_tree
from units.supervisor.exitcode import exit_code


def main(argv: list[str]) -> NoReturn:
    parent = os.getpid()
    guard = os.fork()
    if guard == 0:
        _guard(parent, argv)
    os.close(0)
    os.close(1)
    _, status = os.waitpid(guard, 0)
    os._exit(exit_code(status))


def _guard(parent: int, argv: list[str]) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: _end(143))
    namespaces.adopt_orphans()
    namespaces.end_with_parent(signal.SIGTERM)
    # The parent can have ended before the death signal was set, which the kernel then never sends.
    if os.getppid() != parent:
        os._exit(143)
    child = os.fork()
    if child == 0:
        _execute(argv)
    os.close(0)
    os.close(1)
    while True:
        pid, status = os.wait()
        if pid == child:
            _end(exit_code(status))


def _execute(argv: list[str]) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    namespaces.end_with_parent(signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.execvp(argv[0], argv)
    os._exit(127)


def _end(code: int) -> NoReturn:
    process_tree.end_all()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
