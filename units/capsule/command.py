"""The command line that runs another command in its own capsule."""

from __future__ import annotations

import sys
from pathlib import Path

from nap_start import BARE
from units.capsule import kinds

_HERE = Path(__file__).parent


def own_folders(home: Path) -> list[Path]:
    """Return the folders of nap and of its Python, if they are under the hidden `home`."""
    return [path for path in (_HERE.parent.parent, Path(sys.prefix)) if home in path.parents]


def argv_inside(
    home: Path, writable: tuple[Path, ...], visible: tuple[Path, ...], argv: tuple[str, ...]
) -> list[str]:
    """Return the command that runs `argv` in its own capsule and is killed when its caller ends.

    Of nap's home it sees the `writable` folders and, read-only, `visible`. It starts in the first of these.
    Its exit code is 125 when `argv` cannot be executed.
    """
    enclosure = kinds.here()
    shown = [str(path) for path in (*visible, *own_folders(home))]
    places = (enclosure.kind, str(home), *map(str, writable), "--", *shown)
    enter = (*BARE, str(_HERE / "enter.py"), *places)
    command = enclosure.argv((*enter, "--", *argv))
    return ["setpriv", "--pdeathsig", "KILL", *command]
