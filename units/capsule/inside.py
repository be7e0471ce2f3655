"""The inner side of a capsule. `kinds.py` is the outer side, which creates it and chooses its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from units.supervisor.unit import Unit


class Capsule(Protocol):
    """What the first process in a capsule calls, in this order."""

    def place(self, tree: str, folder: str) -> None:
        """Make `folder` a unit's own, with the image's files, writable, in its `app`."""

    def own_network(self) -> None:
        """Bring up an interface other than `lo`. Raise OSError when that fails."""

    def arrange(self, home: str, visible: list[str], read_only: list[str], hosts: str = "") -> None:
        """Hide `home` except for the named paths, and use the file `hosts` as /etc/hosts."""

    def env(self, unit: Unit) -> Mapping[str, str]:
        """Return the variables that `unit` needs for its isolation."""

    def enter(self, unit: Unit, folder: str) -> None:
        """Give `unit` its hostname and its files. The parent of the future `unit` calls this."""

    def settle(self, unit: Unit) -> None:
        """Finish the setup. The process that becomes `unit` calls this before the exec."""

    def end_slave(self, unit: Unit) -> None:
        """End the rest of a slave whose first process has ended."""

    def end(self) -> None:
        """End all processes of the capsule but the caller."""


def of_kind(kind: str, shim: str = "") -> Capsule:
    """Return the capsule of a kind: `namespaces`, or `plain` with the library `shim`."""
    if kind == "namespaces":
        from units.capsule.namespaced import Namespaced

        return Namespaced()
    from units.capsule.plain import PlainCapsule

    return PlainCapsule(shim)
