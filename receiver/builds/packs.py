"""The programs of folder packs, run in capsules: neither they nor the trees they look at are nap's."""

from __future__ import annotations

from collections.abc import Sequence

from buildpacks.packs import folder
from receiver.home.paths import Home
from units.capsule.command import argv_inside


def enclosing(home: Home) -> folder.Enclose:
    """Each call in a capsule of its own, on every engine: what it asks for is no more than a look."""

    def enclose(call: folder.Call) -> Sequence[str]:
        writable, readable = ((call.tree,), ()) if call.writes else ((), (call.tree,))
        return argv_inside(home.root, writable, (*readable, call.pack), call.argv)

    return enclose
