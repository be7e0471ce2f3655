"""The address, API and credentials of an etcd, as values and as a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from registry.errors import RegistryError
from registry.files import write_private
from registry.keys import Keys
from registry.timing import Timing

Api = Literal["v2", "v3"]


@dataclass(frozen=True)
class Secret:
    """A text that str() and repr() do not show, only `value`."""

    value: str = field(default="", repr=False)

    def __str__(self) -> str:
        return "[REDACTED]" if self.value else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self.value)


@dataclass(frozen=True)
class Endpoint:
    """One etcd. `ca`, `cert` and `key` are paths of PEM files, "" where there are none."""

    url: str
    api: Api = "v2"
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: Secret = Secret()

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(
                f"etcd's address {self.url!r} is not a URL.",
                "Write http://HOST:PORT or https://...",
            )
        if self.api not in ("v2", "v3"):
            raise RegistryError(f"etcd has no API {self.api!r}.", 'Write "v2" or "v3".')

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 2379

    def as_dict(self) -> dict[str, str]:
        """Return the form for JSON, with the password in plain text: for a private file only."""
        return {**asdict(self), "password": self.password.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Endpoint:
        return cls(**{**data, "password": Secret(data.get("password", ""))})


@dataclass(frozen=True)
class StoreSettings:
    """The settings that all writers and readers of a home's services share: `etcd.json` in the home."""

    endpoint: Endpoint
    keys: Keys = field(default_factory=Keys)
    timing: Timing = field(default_factory=Timing)

    def save(self, path: Path) -> None:
        """Write the file (mode 0600), and replace an older one in one step."""
        data = {
            "endpoint": self.endpoint.as_dict(),
            "prefix": self.keys.prefix,
            "timing": asdict(self.timing),
        }
        write_private(path, json.dumps(data, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> StoreSettings:
        try:
            data = json.loads(path.read_bytes())
            return cls(
                endpoint=Endpoint.from_dict(data["endpoint"]),
                keys=Keys(data.get("prefix", "")),
                timing=Timing(**data.get("timing", {})),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(
                f"The settings of etcd in {path} cannot be read: {error!r}.", "Run: nap up"
            ) from error
