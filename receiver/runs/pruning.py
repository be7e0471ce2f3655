"""Images that no release within reach needs any more are removed: from the disk, and from the registry."""

from __future__ import annotations

import json
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from receiver.ledger.ledger import App
from receiver.runs.context import Parts
from registry.images.trees import Image


def prune(parts: Parts, gone: Set[str] = frozenset()) -> None:
    """Keep the images of each app's last releases and of what runs; remove the rest, and their records.

    Those that are young may be a push's that is just built, but for what is `gone` with its app. An
    image that cannot be removed now stays on record, for the next time.
    """
    unneeded = _unneeded(parts, gone)
    for image in unneeded:
        parts.engine.forget(image.reference)
    parts.builder.dispose(unneeded)
    for record in parts.home.builds.glob("*.json"):
        with suppress(FileNotFoundError):
            _remove_outdated(parts, record)


def _unneeded(parts: Parts, gone: Set[str]) -> list[Image]:
    needed = {image for app in parts.ledger.apps() for image in _needed(parts, app)}
    found = []
    for digest in parts.images.digests():
        # Another run's end may prune at the same time.
        with suppress(FileNotFoundError):
            if digest not in needed and (digest in gone or parts.images.is_old(digest)):
                found.append(parts.images.get(digest))
    return found


def _needed(parts: Parts, app: App) -> set[str]:
    releases = parts.ledger.releases(app.name)
    kept = releases[-int(app.config.get("keep", parts.settings.keep)) :]
    running = {run.release for run in parts.ledger.unfinished() if run.app == app.name}
    return {release.image for release in releases if release in kept or release.number in running}


def _remove_outdated(parts: Parts, record: Path) -> None:
    if not parts.images.has(json.loads(record.read_text())["image"]):
        record.unlink(missing_ok=True)
