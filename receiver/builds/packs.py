"""Runs the programs of folder packs in capsules: neither the packs nor the trees are trusted."""

from __future__ import annotations

from collections.abc import Sequence

from buildpacks.packs import folder
from receiver.home.paths import Home
from units.capsule.command import argv_inside


def enclosing(home: Home) -> folder.Enclose:
    """Return what puts each call into a capsule of its own, on every engine: none needs a build's container.

    The tree is writable only for a call that `writes`.
    """

    def enclose(call: folder.Call) -> Sequence[str]:
        writable, readable = ((call.tree,), ()) if call.writes else ((), (call.tree,))
        return argv_inside(home.root, writable, (*readable, call.pack), call.argv)

    return enclose
