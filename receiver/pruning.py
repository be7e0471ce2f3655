"""Images that no release within reach needs any more are taken off the disk."""

from __future__ import annotations

import json

from receiver.ledger import App
from receiver.parts import Parts
from units.local.files import remove


def prune(parts: Parts) -> None:
    """Keep the images of each app's last releases and of what runs; remove the rest, and their records."""
    needed = {image for app in parts.ledger.apps() for image in _needed(parts, app)}
    for digest in parts.images.digests():
        if digest not in needed and parts.images.is_old(digest):
            remove(parts.images.get(digest).tree)
    for record in parts.home.builds.glob("*.json"):
        if not parts.images.has(json.loads(record.read_text())["image"]):
            record.unlink(missing_ok=True)


def _needed(parts: Parts, app: App) -> set[str]:
    releases = parts.ledger.releases(app.name)
    kept = releases[-int(app.config.get("keep", parts.settings.keep)) :]
    running = {run.release for run in parts.ledger.unfinished() if run.app == app.name}
    return {release.image for release in releases if release in kept or release.number in running}
