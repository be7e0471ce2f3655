"""The command line that runs another one in a capsule of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from nap_start import BARE
from units.capsule import kinds

_HERE = Path(__file__).parent


def own_folders(home: Path) -> list[Path]:
    """nap's own files, and its Python's, where they are kept under the home that is hidden."""
    return [path for path in (_HERE.parent.parent, Path(sys.prefix)) if home in path.parents]


def argv_inside(
    home: Path, writable: tuple[Path, ...], visible: tuple[Path, ...], argv: tuple[str, ...]
) -> list[str]:
    """`argv` as a command in a capsule of its own that ends when its caller does.

    It sees of nap's home the `writable` folders and may read `visible`; it starts in the first of all these.
    It ends with 125 where `argv` cannot be executed.
    """
    enclosure = kinds.here()
    shown = [str(path) for path in (*visible, *own_folders(home))]
    places = (enclosure.kind, str(home), *map(str, writable), "--", *shown)
    enter = (*BARE, str(_HERE / "enter.py"), *places)
    command = enclosure.argv((*enter, "--", *argv))
    return ["setpriv", "--pdeathsig", "KILL", *command]
