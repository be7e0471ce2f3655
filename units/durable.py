"""Files that are whole after a crash, or not there: on disk first, in their place then."""

from __future__ import annotations

import os
from pathlib import Path

# Bytes that are enough for what is kept of a run.
_ROOM = 4096


def keep_room(path: Path) -> None:
    """For what is to be written there one day: the disk may be full by then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _unfinished(path).write_text(" " * _ROOM)


def write(path: Path, text: str) -> None:
    unfinished = _unfinished(path)
    unfinished.touch()
    # Over the room that was kept for it, if any was.
    with unfinished.open("r+") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
