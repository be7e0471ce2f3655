"""Shell scripts: those that a run brings to its nodes, and those that nodes are asked to run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_SCRIPTS = Path(__file__).parent / "shell"


def texts(*names: str) -> Mapping[str, str]:
    """Of scripts, by name."""
    return {name: (_SCRIPTS / f"{name}.sh").read_text() for name in names}


def script(names: str, *words: str) -> tuple[str, ...]:
    """The argv of a script that is not on the node, or of several one after the other, with these words."""
    return ("sh", "-c", "\n".join(texts(*names.split()).values()), names, *words)
