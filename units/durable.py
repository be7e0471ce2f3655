"""Files that are whole after a crash, or not there: on disk first, in their place then."""

from __future__ import annotations

import os

# Bytes that are enough for what is kept of a run.
_ROOM = 4096
_KEPT = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def keep_room(path: str | os.PathLike[str]) -> None:
    """For what is to be written there one day: the disk may be full by then."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with os.fdopen(os.open(_unfinished(path), _KEPT | os.O_TRUNC, 0o666), "w") as file:
        file.write(" " * _ROOM)


def write(path: str | os.PathLike[str], text: str) -> None:
    # Over the room that was kept for it, if any was.
    with os.fdopen(os.open(_unfinished(path), _KEPT, 0o666), "w") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.rename(_unfinished(path), path)


def _unfinished(path: str | os.PathLike[str]) -> str:
    return f"{os.fspath(path)}.new"
