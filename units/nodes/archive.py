"""A run's files on a node as one tar archive, with numeric owners and modes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Sent:
    """A file to send, with its absolute path on the node. `owner` is its uid and gid there, 0 for root."""

    path: PurePosixPath
    text: str
    mode: int = 0o644
    owner: int = 0


def pack(files: Iterable[Sent], folders: Iterable[tuple[PurePosixPath, int, int]] = ()) -> bytes:
    """Return a tar archive of the files, after `folders`, each a path, a mode and an owner.

    A parent folder that is not listed is created with the umask of the tar process that unpacks.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, mode, owner in folders:
            entry = _entry(path, mode, owner)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for file in files:
            data = file.text.encode()
            entry = _entry(file.path, file.mode, file.owner)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _entry(path: PurePosixPath, mode: int, owner: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(path.relative_to("/")))
    entry.mode, entry.uid, entry.gid = mode, owner, owner
    return entry
