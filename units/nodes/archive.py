"""What a run has on a node, as one tar archive: with modes and owners, whoever unpacks it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Sent:
    """A file with its absolute path on the node; `owner` is a number there, 0 for root."""

    path: PurePosixPath
    text: str
    mode: int = 0o644
    owner: int = 0


def pack(files: Iterable[Sent], folders: Iterable[tuple[PurePosixPath, int, int]] = ()) -> bytes:
    """`folders` are made before the files, each with its mode and owner; others anybody may look into."""
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
