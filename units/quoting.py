"""Words as the languages of units write them."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MEANT_OTHERWISE = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
# Neither split, nor read as anything else, in a unit's command line.
_BARE = re.compile(r"[A-Za-z0-9_./:=,@+-]+", re.ASCII)
_SYSTEMD = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%", "$": "$$"}
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def yaml(value: object) -> str:
    """A YAML scalar in double quotes: the same text to every reader of YAML, whatever it holds."""
    return '"' + "".join(map(_yaml, str(value))) + '"'


def compose(value: object) -> str:
    """A YAML scalar in a compose file, where a `$` would begin a variable's name."""
    return yaml(value).replace("$", "$$")


def systemd(value: object) -> str:
    """A word of a command line in a unit, but the first: neither specifiers nor variables are meant.

    See systemd.syntax(7), "Quoting", and systemd.service(5), "Command lines".
    """
    word = str(value)
    return word if _BARE.fullmatch(word) else '"' + "".join(map(_systemd, word)) + '"'


def _systemd(character: str) -> str:
    if character in _SYSTEMD:
        return _SYSTEMD[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def key(value: str) -> str:
    """A YAML key, bare where every reader takes it for a name."""
    return value if _PLAIN.fullmatch(value) and value.lower() not in _MEANT_OTHERWISE else yaml(value)


def curl(value: str) -> str:
    """A value in a config file of curl, which knows few escapes and reads all else as it stands."""
    return '"' + "".join(_SHORT.get(character, character) for character in value) + '"'


def _yaml(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    return character if character.isprintable() else f"\\U{ord(character):08X}"
