"""Shell scripts: those sent to nodes with a run, and those run on nodes over ssh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SCRIPTS = Path(__file__).parent / "shell"


def texts(*names: str) -> Mapping[str, str]:
    """Return the texts of scripts by name."""
    return {name: (_SCRIPTS / f"{name}.sh").read_text() for name in names}


def script(names: str, *words: str) -> tuple[str, ...]:
    """Return the argv that runs scripts that are not on the node, in order, with `words` as arguments.

    `names` are separated by spaces.
    """
    return ("sh", "-c", "\n".join(texts(*names.split()).values()), names, *words)
