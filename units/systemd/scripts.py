"""Shell scripts that nodes are asked to run, and do not have."""

from __future__ import annotations

from pathlib import Path

_SCRIPTS = Path(__file__).parent.parent / "templates" / "systemd"


def script(names: str, *words: str) -> tuple[str, ...]:
    """The argv of a script, or of several one after the other, with these words."""
    text = "\n".join((_SCRIPTS / f"{name}.sh").read_text() for name in names.split())
    return ("sh", "-c", text, names, *words)
