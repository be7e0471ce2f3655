"""The program that serves images, as all of nap's registries run it: its settings, login and files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from registry.errors import RegistryError
from registry.files import write_private

# Each request checks the password. It is 32 random bytes: more rounds would not make it harder to guess.
_BCRYPT_ROUNDS = 4


@dataclass(frozen=True)
class Kept:
    """What stays the same from one start to the next: a JSON file of mode 0600. `secret` signs."""

    port: int
    password: str
    secret: str
    addresses: tuple[str, ...] = ()

    @classmethod
    def new(cls) -> Kept:
        return cls(0, secrets.token_urlsafe(32), secrets.token_hex(32))

    @classmethod
    def load(cls, path: Path) -> Kept:
        try:
            data = json.loads(path.read_bytes())
            return cls(**{**data, "addresses": tuple(data.get("addresses", ()))})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RegistryError(f"{path} cannot be read: {error!r}.", "Remove it, then: nap up") from error

    def save(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self)).encode())


def binary() -> str:
    """Return its path, or raise RegistryError. Debian calls it `docker-registry`, upstream `registry`."""
    for name in ("docker-registry", "registry"):
        if found := shutil.which(name):
            return found
    raise RegistryError(
        "This machine has no registry of images.",
        "apt-get install docker-registry, or name one in the settings: registry.url",
    )


def configuration(data: Path, address: str, secret: str, logins: Path) -> dict[str, dict[str, object]]:
    """Return the common settings: https://distribution.github.io/distribution/about/configuration/"""
    return {
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}},
        "http": {"addr": address, "secret": secret},
        "auth": {"htpasswd": {"realm": "nap", "path": str(logins)}},
    }


def write_configuration(path: Path, settings: dict[str, dict[str, object]]) -> None:
    """Write the server's YAML file, as JSON: every JSON text is YAML."""
    write_private(path, json.dumps({"version": "0.1", **settings}).encode())


def write_login(path: Path, user: str, password: str) -> None:
    """Write the htpasswd file, with its only user."""
    import bcrypt

    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS))
    write_private(path, user.encode() + b":" + hashed + b"\n")


def environment() -> dict[str, str]:
    """Return our environment without the variables that the server would take as settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
