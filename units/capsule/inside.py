"""What keeps the processes of a run, or of a build, together and apart: the side within.

Its other side, which makes it and says which kind a machine allows, is `kinds.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from units.supervisor.unit import Unit


class Capsule(Protocol):
    """Used by the first process in it, in this order."""

    def place(self, tree: str, folder: str) -> None:
        """Let `folder` be a unit's own: the image's files are in its `app`, writable."""

    def own_network(self) -> None:
        """Have an interface other than `lo`."""

    def arrange(self, home: str, visible: list[str], read_only: list[str], hosts: str = "") -> None:
        """See nothing of `home` but the folders named, and know the names in the file `hosts`."""

    def env(self, unit: Unit) -> Mapping[str, str]:
        """What `unit` needs in its environment to be by itself here."""

    def enter(self, unit: Unit, folder: str) -> None:
        """By what is to become the parent of `unit`: go where it has its hostname and its files."""

    def settle(self, unit: Unit) -> None:
        """By what is to become `unit`, before it is executed."""

    def end_slave(self, unit: Unit) -> None:
        """Its first process has ended; so does the rest of it."""

    def end(self) -> None:
        """Nothing is left but the caller."""


def of_kind(kind: str, shim: str = "") -> Capsule:
    """`namespaces`, or `plain` with its `shim`."""
    if kind == "namespaces":
        from units.capsule.namespaced import Namespaced

        return Namespaced()
    from units.capsule.plain import PlainCapsule

    return PlainCapsule(shim)
