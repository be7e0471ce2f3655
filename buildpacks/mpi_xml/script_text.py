"""The text of `run:`, and the place that arguments have in it."""

import re

_QUOTED = re.compile(r"'[^']*'")
# `$1`, `$@`, `$*`, `$#`, in braces too.
_USES = re.compile(r"\$\{?[@*#1-9]")
# What makes more than one command of a line, or hides its end.
_MORE = re.compile(r"[\n|&;<>()`#\\{}]")


def takes_arguments(text: str) -> bool:
    """Whether the text says where arguments belong, or is one command, at whose end they do."""
    return _uses(text) or not _MORE.search(_QUOTED.sub("", text.strip()))


def with_arguments(text: str) -> str:
    """The text that hands on the arguments it is given."""
    return text if _uses(text) else f'{text.strip()} "$@"'


def _uses(text: str) -> bool:
    """What is in single quotes is not the shell's: `awk '{ print $1 }'`."""
    return bool(_USES.search(_QUOTED.sub("", text)))
