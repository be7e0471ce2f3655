"""The daemon's own log: what it says there is for whoever looks for a fault, and stops nothing."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO, cast


class Log:
    """A stream that takes what it can: a full disk is no reason to leave what was being done."""

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
    """From now on what this process says on standard error cannot fail."""
    sys.stderr = cast(TextIO, Log(sys.stderr))
