"""The data with which a node announces its units and fetches images, in a form that can be sent there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from registry.errors import RegistryError
from registry.etcd.endpoint import Api, Endpoint, Secret
from registry.images.address import ImageRegistry


@dataclass(frozen=True)
class NodeAccess:
    """Access to etcd: `url` is its address for nodes; `ca`, `cert` and `key` are PEM texts, "" for none."""

    url: str
    api: Api
    ca: str = ""
    cert: str = ""
    key: Secret = field(default_factory=Secret)
    user: str = ""
    password: Secret = field(default_factory=Secret)

    @classmethod
    def of(cls, endpoint: Endpoint) -> NodeAccess:
        """Return the endpoint with its files' contents. Raise RegistryError if one is unreadable."""
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
    """A registry for nodes: `name` is its HOST[:PORT][/PATH] there; `ca` is a PEM text, "" for none.

    `logins` is the text of the file with the login for Podman and Docker, "" for none.
    """

    name: str
    ca: str = ""
    insecure: bool = False
    logins: Secret = field(default_factory=Secret)

    @classmethod
    def of(cls, registry: ImageRegistry) -> NodePull:
        """Return the registry with its files' contents. Raise RegistryError if one is unreadable."""
        return cls(registry.name, _text(registry.ca), registry.insecure, Secret(registry.logins()))

    @property
    def host(self) -> str:
        """HOST[:PORT], which is also the name of its CA's folder in Docker's `certs.d`."""
        return self.name.partition("/")[0]

    def called(self, reference: str, ours: ImageRegistry) -> str:
        """Return the name on nodes of the image `reference`. Images of other registries keep their names."""
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
