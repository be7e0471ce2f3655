"""Waiting for what tells nobody when it has come true."""

from __future__ import annotations

import time
from collections.abc import Callable

_BETWEEN_LOOKS = 0.1


def until(ask: Callable[[], object], wanted: object, within: float = 20) -> None:
    """Ask again until the answer is the wanted one; AssertionError after so many seconds."""
    end = time.monotonic() + within
    while (found := ask()) != wanted and time.monotonic() < end:
        time.sleep(_BETWEEN_LOOKS)
    assert found == wanted
