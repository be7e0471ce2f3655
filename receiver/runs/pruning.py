"""Removes images that no kept release needs any more, from disk and from the registry."""

from __future__ import annotations

import json
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from receiver.ledger.ledger import App
from receiver.runs.context import Context
from registry.images.trees import Image
from units.supervisor.files import remove


def prune(context: Context, gone: Set[str] = frozenset()) -> None:
    """Keep the images of each app's last releases and of unfinished runs; remove the rest and their records.

    Young images stay as well, because a push can have just built them, unless they are in `gone` (the
    digests of a destroyed app). An image that cannot be removed now stays on record for the next time.
    """
    unneeded = _unneeded(context, gone)
    for image in unneeded:
        context.engine.forget(image.reference)
    context.builder.dispose(unneeded)
    for record in context.home.builds.glob("*.json"):
        with suppress(FileNotFoundError):
            _remove_outdated(context, record)


def _unneeded(context: Context, gone: Set[str]) -> list[Image]:
    needed = {image for app in context.ledger.apps() for image in _needed(context, app)}
    found = []
    for digest in context.images.digests():
        # Another run's thread can prune at the same time.
        with suppress(FileNotFoundError):
            if digest not in needed and (digest in gone or context.images.is_old(digest)):
                found.append(context.images.get(digest))
    return found


def _needed(context: Context, app: App) -> set[str]:
    releases = context.ledger.releases(app.name)
    kept = releases[-int(app.config.get("keep", context.settings.keep)) :]
    running = {run.release for run in context.ledger.unfinished() if run.app == app.name}
    return {release.image for release in releases if release in kept or release.number in running}


def _remove_outdated(context: Context, record: Path) -> None:
    """Remove the record of a build whose image is gone, or that is damaged: the next build writes it anew."""
    try:
        image = json.loads(record.read_bytes())["image"]
        is_needed = isinstance(image, str) and context.images.has(image)
    except (IsADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        is_needed = False
    if not is_needed:
        remove(record)
