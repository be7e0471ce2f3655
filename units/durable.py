"""Write files that are complete after a crash, or absent: first to the disk, then renamed into place."""

from __future__ import annotations

import os

# Bytes, enough for any record of a run.
_ROOM = 4096
_KEPT = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def keep_room(path: str | os.PathLike[str]) -> None:
    """Reserve disk space for a later `write` to `path`: the disk can be full by then."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with os.fdopen(os.open(_unfinished(path), _KEPT | os.O_TRUNC, 0o666), "w") as file:
        file.write(" " * _ROOM)


def write(path: str | os.PathLike[str], text: str) -> None:
    """Replace `path` in one step by a file with this text."""
    # No O_TRUNC: the text overwrites the blocks that `keep_room` reserved, if any. The rest is cut off then.
    with os.fdopen(os.open(_unfinished(path), _KEPT, 0o666), "w") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.rename(_unfinished(path), path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # or a power failure could undo the rename
    finally:
        os.close(folder)


def _unfinished(path: str | os.PathLike[str]) -> str:
    return f"{os.fspath(path)}.new"
