"""Shell scripts: those sent to nodes with a run, and those run on nodes over ssh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SCRIPTS = Path(__file__).parent / "shell"


def texts(*names: str) -> Mapping[str, str]:
    """Return the texts of scripts by name."""
    return {name: (_SCRIPTS / f"{name}.sh").read_text() for name in names}


def script(names: str, *words: str) -> tuple[str, ...]:
    """Return the argv that runs a script that is not on the node, with these words as its arguments.

    `names` can have several scripts, separated by spaces, which run one after the other in one shell.
    """
    return ("sh", "-c", "\n".join(texts(*names.split()).values()), names, *words)
