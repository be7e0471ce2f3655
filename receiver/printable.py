"""Text that came from elsewhere, as a terminal shows it: none of it is obeyed."""

from __future__ import annotations

import re

# Control characters but for tab and line feed; bytes that are some where they are no text; and what turns
# the order of the characters about.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """What nap says, with what a file, a tool or a program put in it: each control character is escaped."""
    return _OBEYED.sub(_escaped, text)


def on_one_line(text: str) -> str:
    """The same for a value in a table."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number > 0xFF and number < 0xD800:
        return f"\\u{number:04x}"
    return {13: "\\r"}.get(number, f"\\x{number & 0xFF:02x}")
