"""What a node needs to announce what runs on it, and to fetch images, in a form that can be sent there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from registry.errors import RegistryError
from registry.etcd.endpoint import Api, Endpoint, Secret
from registry.images.address import ImageRegistry


@dataclass(frozen=True)
class NodeAccess:
    """`url` is etcd's as nodes see it; `ca`, `cert` and `key` are texts in PEM, "" where there are none."""

    url: str
    api: Api
    ca: str = ""
    cert: str = ""
    key: Secret = field(default_factory=Secret)
    user: str = ""
    password: Secret = field(default_factory=Secret)

    @classmethod
    def of(cls, endpoint: Endpoint) -> NodeAccess:
        """The same, with the files' contents in place of their paths. RegistryError naming a file."""
        return cls(
            url=endpoint.url.rstrip("/"),
            api=endpoint.api,
            ca=_text(endpoint.ca),
            cert=_text(endpoint.cert),
            key=Secret(_text(endpoint.key)),
            user=endpoint.user,
            password=endpoint.password,
        )


@dataclass(frozen=True)
class NodePull:
    """A registry as nodes see it: `name` is its HOST[:PORT][/PATH]; `ca` is a text in PEM, "" for none.

    `logins` is the file with the login that Podman and Docker read, "" where there is none.
    """

    name: str
    ca: str = ""
    insecure: bool = False
    logins: Secret = field(default_factory=Secret)

    @classmethod
    def of(cls, registry: ImageRegistry) -> NodePull:
        """The same, with the contents of files in place of paths. RegistryError naming a file."""
        return cls(registry.name, _text(registry.ca), registry.insecure, Secret(registry.logins()))

    @property
    def host(self) -> str:
        """HOST[:PORT]: the folder of its CA below Docker's `certs.d`."""
        return self.name.partition("/")[0]

    def called(self, reference: str, ours: ImageRegistry) -> str:
        """What nodes call an image that the receiver calls `reference`; others' keep their names."""
        return (
            f"{self.name}/{reference.removeprefix(f'{ours.name}/')}" if ours.names(reference) else reference
        )


def _text(path: str) -> str:
    try:
        return Path(path).read_text() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(
            f"{path}, meant for nodes, cannot be read: {error}.", "See nap's settings."
        ) from error
