"""The table of engines, and the choice of a home's engine: requested, configured, or the current one."""

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

# Each name is a folder in units/ and a file in receiver/engines/, which is imported for that engine only.
# A new home gets the first.
NAMES = ("local", "containers", "systemd", "fleet")
AUTO = "auto"


def support(name: str) -> Support:
    """Return the receiver's side of an engine. Raise ReceiverError for an unknown name."""
    if name not in NAMES:
        raise ReceiverError(f"there is no engine {name!r}", f"nap up --engine {' or '.join(NAMES)}")
    found: Support = import_module(f"receiver.engines.{name}").SUPPORT
    return found


def of(home: Home) -> Support:
    """Return the receiver's side of the home's current engine. ReceiverError when it is none of these."""
    return support(current(home))


def facts(home: Home) -> type[Engine]:
    """Return the class of the home's current engine: its features, without opening what it needs."""
    return of(home).engine


def current(home: Home) -> str:
    """Return the engine this home was last up with; `local` if it never was, or is no readable folder."""
    try:
        return home.engine.read_text().strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return NAMES[0]


def choose(home: Home, asked: str | None, configured: str) -> Support:
    """Return the engine `asked` for on the command line, else the `configured` one, else the current one.

    Raise ReceiverError for an unknown name.
    """
    if asked is None and configured not in (AUTO, *NAMES):
        allowed = ", ".join((AUTO, *NAMES))
        raise ReceiverError(f"{home.settings}: engine is {configured!r}", f"allowed: {allowed}")
    return support(asked or (current(home) if configured == AUTO else configured))


def keep(home: Home, name: str) -> None:
    """Make `name` the current engine. Raise ReceiverError while runs on another engine have not ended."""
    before = current(home)
    if name == before and home.engine.exists():
        return
    if name != before:
        _refuse_unfinished(home, before)
    unfinished = home.engine.with_name(f".engine.{os.getpid()}")
    unfinished.write_text(f"{name}\n")
    unfinished.replace(home.engine)


def _refuse_unfinished(home: Home, engine: str) -> None:
    """Raise ReceiverError for an unfinished run: another engine can neither watch nor end it."""
    for app, number in in_progress(home.ledger):
        raise ReceiverError(
            f"{app} run {number} has not ended on the engine {engine}",
            f"wait for it or cancel it: nap cancel {app} {number}",
        )
