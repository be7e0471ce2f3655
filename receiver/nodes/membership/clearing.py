"""Clear a node of what nap left there: units, files, containers, images, its key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from receiver.home.paths import Home
from receiver.nodes.reachable_parts import own_registry
from units.nodes.link import Link
from units.nodes.node import Node

_SCRIPTS = tuple(Path(__file__).parents[1] / "shell" / name for name in ("clear.sh", "let_out.sh"))
_NAMED_WITHIN, _CLEARED_WITHIN = 10.0, 120.0


def busy(home: Home, node: Node, link: Link) -> list[str]:
    """Return the units of this home that run on the node. Raise UnitError when the node does not answer."""
    return _ask(home, node, link, "busy", "", _NAMED_WITHIN).split()


def clear(home: Home, node: Node, link: Link, how: Literal["all", "force"], key: str = "") -> None:
    """Remove everything of this home from the node, and the ssh key `key` (`TYPE BASE64`) from its login.

    `force` ignores a container runtime that does not work. Raise UnitError when clearing fails.
    """
    _ask(home, node, link, how, key, _CLEARED_WITHIN)


def _ask(home: Home, node: Node, link: Link, what: str, key: str, within: float) -> str:
    registry = own_registry(home)
    host = registry.host if registry else ""
    words = (what, home.id or "default", str(home.root), node.runtime, key, node.login.user, host)
    return link.ask(("sh", "-s", "--", *words), b"".join(script.read_bytes() for script in _SCRIPTS), within)
