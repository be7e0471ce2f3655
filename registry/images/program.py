"""The program that serves images, as any of nap's registries runs it: its settings, its login, its files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from registry.errors import RegistryError
from registry.files import write_private

# The password is 32 random bytes, which no number of rounds makes harder to guess; each request checks it.
_BCRYPT_ROUNDS = 4


@dataclass(frozen=True)
class Kept:
    """What stays the same from one start to the next; a JSON file for its owner alone."""

    port: int
    password: str
    secret: str
    addresses: tuple[str, ...] = ()

    @classmethod
    def new(cls) -> Kept:
        """Without a port yet."""
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
    """Debian's name for it, or the one it is built with."""
    for name in ("docker-registry", "registry"):
        if found := shutil.which(name):
            return found
    raise RegistryError(
        "This machine has no registry of images.",
        "apt-get install docker-registry, or name one in the settings: registry.url",
    )


def configuration(data: Path, address: str, secret: str, logins: Path) -> dict[str, dict[str, object]]:
    """The server's settings: https://distribution.github.io/distribution/about/configuration/"""
    return {
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}},
        "http": {"addr": address, "secret": secret},
        "auth": {"htpasswd": {"realm": "nap", "path": str(logins)}},
    }


def write_configuration(path: Path, settings: dict[str, dict[str, object]]) -> None:
    """JSON is YAML."""
    write_private(path, json.dumps({"version": "0.1", **settings}).encode())


def write_login(path: Path, user: str, password: str) -> None:
    """The one user who gets in."""
    import bcrypt

    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS))
    write_private(path, user.encode() + b":" + hashed + b"\n")


def environment() -> dict[str, str]:
    """Ours, without what the server would take as settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
