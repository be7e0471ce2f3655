"""The receiver's one error class, and how any package's error is told to a user."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from receiver.printable import printable


class ReceiverError(Exception):
    """Something a user can act on: one sentence about what was found, and a hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def foreseen(error: Exception, where: Path) -> Any:
    """The error, when it is one to tell a user; in nap's words, when the disk `where` is full; else None."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ReceiverError("there is no room left on the receiver's disk", f"see: df {where}")
    return error if hasattr(error, "message") else None


def explain(error: Exception) -> str:
    """Tell an error in a sentence, and its hint (when it has one) on a line of its own.

    Every package's error class carries `message` and `hint`; they are read by name, so that
    telling an error imports none of these packages.
    """
    sentence = f"nap: {getattr(error, 'message', str(error))}"
    hint = getattr(error, "hint", "")
    return printable(f"{sentence}\n  hint: {hint}" if hint else sentence)
