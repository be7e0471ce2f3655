"""Where things are under nap's home."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


def users_home() -> Path:
    """The user's own home; `/` for one without any, as in a container that was given a number alone."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


class _Inside:
    """A file or folder of the home, by its name in there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, home: Home, _type: type[Home] | None = None) -> Path:
        return home.root / self._name


@dataclass(frozen=True)
class Home:
    """`$NAP_HOME`: one folder that holds everything."""

    root: Path

    settings = _Inside("settings.yaml")
    ledger = _Inside("ledger.db")
    lock = _Inside("daemon.lock")
    """Held by the daemon for as long as it lives; its pid is inside."""
    settings_read = _Inside("daemon.read")
    """A digest of the settings that the daemon has read."""
    api_socket = _Inside("nap.sock")
    hook_socket = _Inside("hook.sock")
    hooks = _Inside("hooks")
    etcd = _Inside("etcd")
    etcd_settings = _Inside("etcd.json")
    engine = _Inside("engine")
    """The name of the engine that this home was last up with."""
    image_registry = _Inside("registry")
    logins = _Inside("logins")
    """How Podman and Docker log in to the registry of images: readable by their owner alone."""
    stacks = _Inside("stacks")
    images = _Inside("images")
    image_records = _Inside("image-records")
    """What is known of images of containers: one file an image."""
    stack_records = _Inside("stack-records")
    """What is known of the stacks' images: one file a stack."""
    builds = _Inside("builds")
    """What was built from what: one record an input."""
    scratch = _Inside("scratch")
    """Trees while they are checked out and built; empty when nothing is."""
    buildpacks = _Inside("buildpacks")
    nodes = _Inside("nodes")
    """The book of nodes, and nap's own key to them."""
    owed = _Inside("owed")
    """What is to be removed from nodes still."""
    log = _Inside("log")

    @property
    def id(self) -> str:
        """Empty for the default home, else short: two homes may share a machine or an etcd."""
        if self.root == users_home() / ".nap":
            return ""
        return "h" + hashlib.sha256(os.fsencode(self.root)).hexdigest()[:6]

    def repository(self, app: str) -> Path:
        return self.root / "repos" / f"{app}.git"

    def runs(self, app: str) -> Path:
        return self.root / "runs" / app

    def run(self, app: str, number: int) -> Path:
        return self.runs(app) / str(number)

    def cache(self, app: str) -> Path:
        """What an app's builds keep from one to the next."""
        return self.root / "cache" / app
