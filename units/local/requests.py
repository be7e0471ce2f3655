"""The FIFO a slave takes requests from, and nap's agents wait at: `agent.sh` and `slave.sh` use it."""

from __future__ import annotations

import contextlib
import os


def open_in(place: str) -> None:
    os.mkfifo(f"{place}/requests", 0o600)


def close_in(place: str, status: int) -> None:
    """No request is taken from now on, and who waits for one is answered with `status`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{place}/requests")
    for name in os.listdir(place):
        if name.endswith(".status"):
            _answer(f"{place}/{name}", status)


def _answer(path: str, status: int) -> None:
    """Only if somebody reads it."""
    with contextlib.suppress(OSError):
        fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fifo, f"{status}\n".encode())
        os.close(fifo)
