"""Which names apps may have: they become hostnames, folders and keys."""

from __future__ import annotations

import re
from collections.abc import Iterable

from receiver.errors import ReceiverError

_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def app_name(text: str) -> str:
    """The name, if it may be an app's: a DNS label of at most 30 characters."""
    if not isinstance(text, str) or not _LABEL.fullmatch(text):
        raise ReceiverError(
            f"{text!r} cannot be an app's name",
            "a to z, 0 to 9 and -, starting with a letter, not ending with -, at most 30 characters",
        )
    return text


def highest_number(names: Iterable[str]) -> int:
    """Of the names that are numbers of runs; 0 for none."""
    numbers = (int(name) for name in names if re.fullmatch("[0-9]{1,15}", name))
    return max(numbers, default=0)
