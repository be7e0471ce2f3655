"""Escapes foreign text for a terminal, which must not execute control sequences in it."""

from __future__ import annotations

import re

# Control characters except tab and line feed; undecodable bytes (as surrogates) that are C1 controls; and
# characters that change the text direction.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return nap's text with the control characters escaped that a file, a tool or a program put in it."""
    return _OBEYED.sub(_escaped, text)


def on_one_line(text: str) -> str:
    """Return the text for a table cell: as `printable` does, with tabs and line feeds escaped as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number > 0xFF and number < 0xD800:
        return f"\\u{number:04x}"
    return {13: "\\r"}.get(number, f"\\x{number & 0xFF:02x}")
