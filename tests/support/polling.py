"""Waiting for what tells nobody when it has come true, and a look at what waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_BETWEEN_LOOKS = 0.1


def until(ask: Callable[[], object], wanted: object, within: float = 20) -> None:
    """Ask again until the answer is the wanted one; AssertionError after so many seconds."""
    end = time.monotonic() + within
    while (found := ask()) != wanted and time.monotonic() < end:
        time.sleep(_BETWEEN_LOOKS)
    assert found == wanted


def inotify_instances(pid: int) -> int:
    """How many of the user's few a process has open."""
    open_files = list(Path(f"/proc/{pid}/fd").iterdir())
    return sum("inotify" in str(file.readlink()) for file in open_files if os.path.lexists(file))
