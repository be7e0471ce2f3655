"""Which engine a home's units run on: asked for, named by the settings, or that of last time."""

from __future__ import annotations

import os

from buildpacks.plan import Plan
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import in_progress

ENGINES = ("local", "containers", "systemd", "fleet")
# Those whose programs are images, built by this machine's container runtime.
OF_IMAGES = ("containers", "systemd", "fleet")
# Those whose units are on other machines.
ON_NODES = ("systemd", "fleet")
# Those that have no units for services, and for programs without ranks.
OF_RANKS = ("fleet",)


def current(home: Home) -> str:
    """The engine this home was last up with; `local` for one that never was, or cannot be one."""
    try:
        return home.engine.read_text().strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ENGINES[0]


def choose(home: Home, asked: str | None, configured: str) -> str:
    """What `nap up` was asked for, else what the settings name, else the current one."""
    name = asked or (current(home) if configured == "auto" else configured)
    if name not in ENGINES:
        raise ReceiverError(f"there is no engine {name!r}", f"nap up --engine {' or '.join(ENGINES)}")
    return name


def check(home: Home, plan: Plan) -> None:
    """Refuse what the current engine cannot run, before anything is changed."""
    engine = current(home)
    if engine in OF_RANKS and plan.manifest is None:
        raise ReceiverError(
            f"the engine {engine} runs MPI programs only, so far, "
            f"and this app runs its {plan.run_by or 'own command'}",
            "a home of its own for it: NAP_HOME=FOLDER nap up --engine containers",
        )


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
