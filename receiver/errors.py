"""The receiver's only error class, and the text that a user sees for any package's error."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from receiver.printable import printable


class ReceiverError(Exception):
    """An error that a user can act on: one sentence about the cause, and a hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def foreseen(error: Exception, where: Path) -> Any:
    """Return the error if it is meant for users, else None; a ReceiverError when the disk `where` is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ReceiverError("there is no room left on the receiver's disk", f"see: df {where}")
    return error if hasattr(error, "message") else None


def explain(error: Exception) -> str:
    """Return an error as one sentence, with its hint (if any) on a second line.

    Every package's error class has `message` and `hint`. They are read by name, so that this
    module imports none of these packages.
    """
    sentence = f"nap: {getattr(error, 'message', str(error))}"
    hint = getattr(error, "hint", "")
    return printable(f"{sentence}\n  hint: {hint}" if hint else sentence)
