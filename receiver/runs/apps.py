"""Creates, configures and destroys apps."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from receiver import repository as git
from receiver.errors import ReceiverError
from receiver.ledger.ledger import App
from receiver.names import app_name
from receiver.runs import pruning
from receiver.runs.context import Context
from registry.errors import RegistryError
from units.errors import UnitError
from units.supervisor.files import remove


def _branch(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}", text) or ".." in text or text.endswith("/"):
        raise ValueError("the name of a branch")
    return text


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _pack(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError("Dockerfile, pom.xml, mpi.xml or the name of a folder in $NAP_HOME/buildpacks")
    return text


def _within(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return number


CONFIG: Mapping[str, Callable[[str], Any]] = {
    "branch": _branch,
    "buildpack": _pack,
    "keep": _within(1, 1000),
    "port": _within(1, 65535),
    "strict": _truth,
}


def create(context: Context, name: str) -> dict[str, str]:
    """Add the app and its repository. Raise ReceiverError, and change nothing, when either exists."""
    repository = context.home.repository(app_name(name))
    if os.path.lexists(repository):
        _refuse_taken(context, name, repository)
    app = context.ledger.add_app(name)
    try:
        git.create(repository)
    except BaseException:
        context.ledger.remove_app(app.name)
        raise
    return {"app": app.name, "remote": str(repository)}


def _refuse_taken(context: Context, name: str, repository: Path) -> None:
    """Raise ReceiverError for a repository without an app in the ledger: foreign, or of a lost app."""
    if name not in {app.name for app in context.ledger.apps()}:
        raise ReceiverError(
            f"{repository} is there already, and no app that nap knows of has it",
            f"if it is not needed any more, move it away: mv {repository} {repository}.old",
        )


def branches(app: App) -> tuple[str, ...]:
    """Return the branches whose pushes are deployed."""
    return (app.config["branch"],) if "branch" in app.config else git.DEPLOY_BRANCHES


def configure(context: Context, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Apply all of the changes or none, and return the new settings. A value of None removes a key.

    Raise ReceiverError for an unknown key or an invalid value.
    """

    def change(config: dict[str, Any]) -> None:
        for key, value in changes.items():
            if key not in CONFIG:
                raise ReceiverError(f"an app has no setting {key!r}", f"the settings are {', '.join(CONFIG)}")
            if value is None:
                config.pop(key, None)
            else:
                config[key] = _checked(key, str(value))

    config = context.ledger.configure(name, change)
    with git.opened(context.home.repository(name)) as repo:
        git.configure(repo)
    return config


def _checked(key: str, text: str) -> Any:
    try:
        return CONFIG[key](text)
    except ValueError as error:
        raise ReceiverError(f"{key} is {text!r}", f"allowed: {error}") from error


def destroy(context: Context, name: str) -> None:
    """Remove the app with its repository, releases, images, runs, logs and cache. All runs must have ended.

    The record goes after the files: until then the name is taken, and another `destroy` completes an
    interrupted one.
    """
    runs = [run.number for run in context.ledger.runs(name)]
    for folder in (context.home.repository(name), context.home.runs(name), context.home.cache(name)):
        remove(folder)
    context.publisher.gone(name, runs)
    images = {release.image for release in context.ledger.releases(name)}
    context.ledger.remove_app(name)
    _forget(context, name, images)


def _forget(context: Context, name: str, images: set[str]) -> None:
    """Remove the images of a destroyed app at once if they are container images, which belong to one app.

    Image trees are left to later pruning: another app can just be getting a tree with the same content.
    """
    if not context.engine.runs_images:
        return
    try:
        pruning.prune(context, images)
    except (RegistryError, UnitError) as error:
        print(f"{name} is gone, its images stay for now: {error}", file=sys.stderr)


def mend(context: Context) -> None:
    """Create missing repositories: of apps that a receiver was creating or destroying when it died."""
    for app in context.ledger.apps():
        repository = context.home.repository(app.name)
        if not os.path.lexists(repository):
            git.create(repository)
