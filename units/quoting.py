"""Quote words for the formats of unit files."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MEANT_OTHERWISE = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
# Words that systemd neither splits nor interprets in a unit's command line.
_BARE = re.compile(r"[A-Za-z0-9_./:=,@+-]+", re.ASCII)
_SYSTEMD = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%", "$": "$$"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def yaml(value: object) -> str:
    """Return a YAML scalar in double quotes, which every YAML parser reads as the same text."""
    return '"' + "".join(map(_yaml, str(value))) + '"'


def compose(value: object) -> str:
    """Return a YAML scalar for a compose file, in which a single `$` starts a variable's name."""
    return yaml(value).replace("$", "$$")


def systemd(value: object) -> str:
    """Quote a word of a unit's command line, so that specifiers and variables in it are not expanded.

    Not for the first word. See systemd.syntax(7), "Quoting", and systemd.service(5), "Command lines".
    """
    word = str(value)
    return word if _BARE.fullmatch(word) else '"' + "".join(map(_systemd, word)) + '"'


def _systemd(character: str) -> str:
    if character in _SYSTEMD:
        return _SYSTEMD[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def key(value: str) -> str:
    """Return a YAML key, without quotes if every parser reads it as a string."""
    return value if _PLAIN.fullmatch(value) and value.lower() not in _MEANT_OTHERWISE else yaml(value)


def curl(value: str) -> str:
    """Return a value for curl's config file, which has few escapes and takes all else literally."""
    return '"' + "".join(_SHORT.get(character, character) for character in value) + '"'


def _yaml(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    return character if character.isprintable() else f"\\U{ord(character):08X}"
