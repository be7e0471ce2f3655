"""Images that no release within reach needs any more are removed: from the disk, and from the registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

from receiver import engines, registries, shipping
from receiver.ledger import App
from receiver.parts import Parts
from registry.errors import RegistryError
from registry.image_address import Registry
from registry.images import Image

Dispose = Callable[[Image], None]


def prune(parts: Parts, gone: Set[str] = frozenset()) -> None:
    """Keep the images of each app's last releases and of what runs; remove the rest, and their records.

    Those that are young may be a push's that is just built, but for what is `gone` with its app. An
    image that cannot be removed now stays on record, for the next time.
    """
    unneeded = _unneeded(parts, gone)
    dispose = _from_containers(parts) if parts.engine.name in engines.OF_IMAGES else _from_disk
    for image in unneeded:
        dispose(image)
        parts.images.remove(image.digest)
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


def _from_disk(_image: Image) -> None:
    """The store has all of a tree."""


def _from_containers(parts: Parts) -> Dispose:
    """What removes an image from the runtime and the registry; builds' leftovers are gone already."""
    runtime = registries.runtime(parts.home, parts.settings)
    registry = registries.of(parts.home, parts.settings.registry)
    shipping.forget_leftovers(runtime, f"nap.home={parts.home.root}")

    def dispose(image: Image) -> None:
        shipping.forget(runtime, image.reference)
        parts.engine.forget(image.reference)
        _delete(registry, image)

    return dispose


def _delete(registry: Registry, image: Image) -> None:
    """From the registry; one of another registry, as settings named it before, is left there."""
    from registry.image_client import Client

    if not registry.names(image.reference):
        return
    try:
        Client(registry).delete(*registry.split(image.reference))
    except RegistryError as error:
        if error.retry:
            raise
        # It would be refused each time: the registry's own rules have to remove it.
        print(f"{image.reference} stays in the registry: {error.message}", file=sys.stderr)
