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


@dataclass(frozen=True)
class Home:
    """`$NAP_HOME`: one folder that holds everything."""

    root: Path

    @property
    def id(self) -> str:
        """Empty for the default home, else short: two homes may share a machine or an etcd."""
        if self.root == users_home() / ".nap":
            return ""
        return "h" + hashlib.sha256(os.fsencode(self.root)).hexdigest()[:6]

    @property
    def settings(self) -> Path:
        return self.root / "settings.yaml"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    @property
    def lock(self) -> Path:
        """Held by the daemon for as long as it lives; its pid is inside."""
        return self.root / "daemon.lock"

    @property
    def settings_read(self) -> Path:
        """A digest of the settings that the daemon has read."""
        return self.root / "daemon.read"

    @property
    def api_socket(self) -> Path:
        return self.root / "nap.sock"

    @property
    def hook_socket(self) -> Path:
        return self.root / "hook.sock"

    @property
    def hooks(self) -> Path:
        return self.root / "hooks"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def etcd_settings(self) -> Path:
        return self.root / "etcd.json"

    @property
    def engine(self) -> Path:
        """The name of the engine that this home was last up with."""
        return self.root / "engine"

    @property
    def image_registry(self) -> Path:
        return self.root / "registry"

    @property
    def logins(self) -> Path:
        """How Podman and Docker log in to the registry of images: readable by their owner alone."""
        return self.root / "logins"

    @property
    def stacks(self) -> Path:
        return self.root / "stacks"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def image_records(self) -> Path:
        """What is known of images of containers: one file an image."""
        return self.root / "image-records"

    @property
    def stack_records(self) -> Path:
        """What is known of the stacks' images: one file a stack."""
        return self.root / "stack-records"

    @property
    def builds(self) -> Path:
        """What was built from what: one record an input."""
        return self.root / "builds"

    @property
    def scratch(self) -> Path:
        """Trees while they are checked out and built; empty when nothing is."""
        return self.root / "scratch"

    @property
    def buildpacks(self) -> Path:
        return self.root / "buildpacks"

    @property
    def nodes(self) -> Path:
        """The book of nodes, and nap's own key to them."""
        return self.root / "nodes"

    @property
    def owed(self) -> Path:
        """What is to be removed from nodes still."""
        return self.root / "owed"

    @property
    def log(self) -> Path:
        return self.root / "log"

    def repository(self, app: str) -> Path:
        return self.root / "repos" / f"{app}.git"

    def runs(self, app: str) -> Path:
        return self.root / "runs" / app

    def run(self, app: str, number: int) -> Path:
        return self.runs(app) / str(number)

    def cache(self, app: str) -> Path:
        """What an app's builds keep from one to the next."""
        return self.root / "cache" / app
