"""The FIFO a slave takes requests from, and nap's agents wait at: `agent.sh` and `slave.sh` use it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

FOLDER = "slaves"
"""Of a run: in it each slave has a folder, where programs may write too. Nothing in it is trusted."""
_OPEN = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folders(slaves: Iterable[str]) -> None:
    for slave in slaves:
        os.makedirs(f"{FOLDER}/{slave}", 0o700)


def open_in(slave: str) -> None:
    os.mkfifo(f"{FOLDER}/{slave}/requests", 0o600)


def close_in(slave: str, status: int) -> None:
    """No request is taken from now on, and who waits for one is answered with `status`.

    A program may have put anything in the place of what was here; that is passed over.
    """
    with contextlib.suppress(OSError):
        folder = os.open(f"{FOLDER}/{slave}", os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        try:
            os.unlink("requests", dir_fd=folder)
        finally:
            _answer_all(folder, status)
            os.close(folder)


def _answer_all(folder: int, status: int) -> None:
    for name in os.listdir(folder):
        if name.endswith(".status"):
            with contextlib.suppress(OSError):
                _answer(os.open(name, os.O_WRONLY | _OPEN, dir_fd=folder), status)


def _answer(opened: int, status: int) -> None:
    """If it is a FIFO, which somebody reads since it could be opened."""
    try:
        if stat.S_ISFIFO(os.fstat(opened).st_mode):
            os.write(opened, f"{status}\n".encode())
    finally:
        os.close(opened)
