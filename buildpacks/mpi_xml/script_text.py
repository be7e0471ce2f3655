"""The script of `run:`, and the place of arguments in it."""

import re

_QUOTED = re.compile(r"'[^']*'")
# `$1`, `$@`, `$*`, `$#`, with or without braces.
_USES = re.compile(r"\$\{?[@*#1-9]")
# Characters that can separate commands or hide the end of the line.
_MORE = re.compile(r"[\n|&;<>()`#\\{}]")


def takes_arguments(text: str) -> bool:
    """Return whether the text uses its arguments, or is a single command that they can be appended to."""
    return _uses(text) or not _MORE.search(_QUOTED.sub("", text.strip()))


def with_arguments(text: str) -> str:
    """Return the text with `"$@"` appended, unless it uses its arguments already."""
    return text if _uses(text) else f'{text.strip()} "$@"'


def _uses(text: str) -> bool:
    """Ignore single-quoted parts, which the shell does not expand: `awk '{ print $1 }'`."""
    return bool(_USES.search(_QUOTED.sub("", text)))
