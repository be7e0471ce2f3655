"""The table of engines, and which one a home's units run on: asked for, set, or that of last time."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import in_progress

if TYPE_CHECKING:
    from receiver.engine_support import Support
    from units.engine import Engine

# Each is a folder in units/ and a file in receiver/engines/, which is loaded for that engine alone. A new
# home has the first.
NAMES = ("local", "containers", "systemd", "fleet")
AUTO = "auto"


def support(name: str) -> Support:
    """Return the receiver's side of an engine. ReceiverError for a name that is none."""
    if name not in NAMES:
        raise ReceiverError(f"there is no engine {name!r}", f"nap up --engine {' or '.join(NAMES)}")
    found: Support = import_module(f"receiver.engines.{name}").SUPPORT
    return found


def facts(home: Home) -> type[Engine]:
    """Return the class of the home's current engine: what it can do, without what it needs."""
    return support(current(home)).engine


def current(home: Home) -> str:
    """The engine this home was last up with; `local` for one that never was, or cannot be one."""
    try:
        return home.engine.read_text().strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return NAMES[0]


def choose(home: Home, asked: str | None, configured: str) -> Support:
    """What `nap up` was asked for, else what the settings name, else the current one."""
    if asked is None and configured not in (AUTO, *NAMES):
        allowed = ", ".join((AUTO, *NAMES))
        raise ReceiverError(f"{home.settings}: engine is {configured!r}", f"allowed: {allowed}")
    return support(asked or (current(home) if configured == AUTO else configured))


def keep(home: Home, name: str) -> None:
    """Make it the current one. ReceiverError while runs of another one have not ended."""
    before = current(home)
    if name == before and home.engine.exists():
        return
    if name != before:
        _refuse_unfinished(home, before)
    unfinished = home.engine.with_name(f".engine.{os.getpid()}")
    unfinished.write_text(f"{name}\n")
    unfinished.replace(home.engine)


def _refuse_unfinished(home: Home, engine: str) -> None:
    """What runs on one engine cannot be looked after, or ended, by another one."""
    for app, number in in_progress(home.ledger):
        raise ReceiverError(
            f"{app} run {number} has not ended on the engine {engine}",
            f"wait for it or cancel it: nap cancel {app} {number}",
        )
