"""The FIFO from which a slave takes the requests of nap's agents: `agent.sh` and `slave.sh` use it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

FOLDER = "slaves"
"""The folder with a folder for each slave. Programs can write there too, so no content is trusted."""
_OPEN = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folders(slaves: Iterable[str]) -> None:
    for slave in slaves:
        os.makedirs(f"{FOLDER}/{slave}", 0o700)


def open_in(slave: str) -> None:
    os.mkfifo(f"{FOLDER}/{slave}/requests", 0o600)


def close_in(slave: str, status: int) -> None:
    """Stop taking requests, then answer the agents that wait with `status`.

    A program can have replaced the files with anything; errors from that are ignored.
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
    """Write `status` if this is a FIFO. It has a reader: opening it without blocking fails otherwise."""
    try:
        if stat.S_ISFIFO(os.fstat(opened).st_mode):
            os.write(opened, f"{status}\n".encode())
    finally:
        os.close(opened)
