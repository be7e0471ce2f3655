"""The daemon's own log, for troubleshooting. A failed write to it stops nothing."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO, cast


class Log:
    """A stream that ignores write errors: a full disk must not abort the daemon's work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        self.flush()
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def take_over() -> None:
    """Replace standard error, so that writing to it cannot fail."""
    sys.stderr = cast(TextIO, Log(sys.stderr))
