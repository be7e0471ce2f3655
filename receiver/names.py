"""Valid names of apps: they become hostnames, folders and keys."""

from __future__ import annotations

import re
from collections.abc import Iterable

from receiver.errors import ReceiverError

_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def app_name(text: str) -> str:
    """Return the name if it is valid: a DNS label of at most 30 characters. Raise ReceiverError otherwise."""
    if not isinstance(text, str) or not _LABEL.fullmatch(text):
        raise ReceiverError(
            f"{text!r} cannot be an app's name",
            "a to z, 0 to 9 and -, starting with a letter, not ending with -, at most 30 characters",
        )
    return text


def highest_number(names: Iterable[str]) -> int:
    """Return the highest of the names that are run numbers; 0 when none is."""
    numbers = (int(name) for name in names if re.fullmatch("[0-9]{1,15}", name))
    return max(numbers, default=0)
