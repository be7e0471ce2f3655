"""One output file fed from several sources, each of which is resumed at its own offset.

The file `pieces` beside it has a line for each piece, its source and its size in bytes, written before the
piece itself. After a crash between the two writes, the sizes show how much of the last piece is missing: no
byte is lost or duplicated.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Lines after which the record is compacted to one for each source.
_LINES = 10_000


class MultiTail:
    """One run's output, safe to add to from several threads of one process. Source names have no spaces."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._record = output.with_name("pieces")
        self._lock = threading.Lock()
        self._sizes: Counter[str] | None = None
        self._lines = 0

    def size(self, source: str) -> int:
        """Return how many bytes of the source's output are here."""
        with self._lock:
            return self._known()[source]

    def add(self, source: str, data: bytes) -> None:
        """Append a piece. Raise OSError when the disk is full; the part that was written counts in `size`."""
        with self._lock:
            sizes = self._known()
            self._sizes = None  # read again from disk if a write fails
            _append(self._record, f"{source} {len(data)}\n".encode())
            _append(self._output, data)
            sizes[source] += len(data)
            self._sizes = sizes
            self._lines += 1

    def _known(self) -> Counter[str]:
        if self._sizes is None or self._lines > _LINES:
            self._sizes = self._read()
            self._lines = len(self._sizes)
            unfinished = self._record.with_name("pieces.new")
            unfinished.write_text("".join(f"{name} {size}\n" for name, size in self._sizes.items()))
            unfinished.rename(self._record)
        return self._sizes

    def _read(self) -> Counter[str]:
        sizes: Counter[str] = Counter()
        if not self._record.exists():
            return sizes
        *lines, _torn = self._record.read_text().split("\n")
        for line in lines:
            last, _, size = line.partition(" ")
            sizes[last] += int(size)
        if missing := sizes.total() - self._output.stat().st_size:
            sizes[last] -= missing
        return sizes


@dataclass(frozen=True)
class Source:
    """One source of an output, as a `tail.KeptOutput`."""

    pieces: MultiTail
    name: str

    def size(self) -> int:
        return self.pieces.size(self.name)

    def add(self, data: bytes) -> None:
        if data:
            self.pieces.add(self.name, data)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        while data:
            data = data[file.write(data) :]
