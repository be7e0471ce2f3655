"""The paths of nap's home."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


def users_home() -> Path:
    """Return the user's home; `/` without one, as for a bare uid in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


class _Inside:
    """A descriptor: the path of a file or folder in the home."""

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
    """Locked by the daemon for its whole life; contains its pid."""
    settings_read = _Inside("daemon.read")
    """A digest of the settings that the daemon last read."""
    api_socket = _Inside("nap.sock")
    hook_socket = _Inside("hook.sock")
    hooks = _Inside("hooks")
    etcd = _Inside("etcd")
    etcd_settings = _Inside("etcd.json")
    engine = _Inside("engine")
    """The name of the engine with which this home was last up."""
    image_registry = _Inside("registry")
    logins = _Inside("logins")
    """Logins of Podman and Docker to the image registry, readable by the owner alone."""
    stacks = _Inside("stacks")
    images = _Inside("images")
    image_records = _Inside("image-records")
    """Records of container images: one file for each image."""
    stack_records = _Inside("stack-records")
    """Records of stack images: one file for each stack."""
    builds = _Inside("builds")
    """Records of builds: one for each input, with what was built from it."""
    scratch = _Inside("scratch")
    """Trees during checkout and build; empty otherwise."""
    buildpacks = _Inside("buildpacks")
    nodes = _Inside("nodes")
    """The book of nodes, and nap's own SSH key for them."""
    owed = _Inside("owed")
    """Records of pending cleanups on nodes."""
    log = _Inside("log")

    @property
    def id(self) -> str:
        """Empty for the default home, else a short hash of its path: homes can share a machine or an etcd."""
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
        """Return the cache folder that an app's builds share."""
        return self.root / "cache" / app
