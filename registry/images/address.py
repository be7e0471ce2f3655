"""The address and login of a registry of images, and the names of images in it."""

from __future__ import annotations

import ipaddress
import json
import re
from base64 import b64encode
from dataclasses import dataclass, field

from registry.errors import RegistryError
from registry.etcd.endpoint import Secret

# By the distribution's specification: https://distribution.github.io/distribution/spec/api/
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_NAME}(?:/{_NAME})*"
_DIGEST = r"sha256:[0-9a-f]{64}"
# Docker Hub, and its name in Docker's file of logins. Podman uses the host there.
_HUB, _HUB_LOGIN = "docker.io", "https://index.docker.io/v1/"
_HINT = "write HOST, HOST:PORT or HOST/PATH in small letters, without https://, such as ghcr.io/owner"


@dataclass(frozen=True)
class ImageRegistry:
    """One registry. `path` is a prefix of each repository's name, or "".

    `ca` is the path of a PEM file, "" for the CAs that this machine trusts. `insecure` accepts untrusted
    certificates, and plain HTTP.
    """

    host: str
    path: str = ""
    ca: str = ""
    insecure: bool = False
    user: str = ""
    password: Secret = field(default_factory=Secret)

    @property
    def name(self) -> str:
        """`HOST[:PORT][/PATH]`, as settings name it."""
        return f"{self.host}/{self.path}" if self.path else self.host

    @property
    def api_host(self) -> str:
        """The host of its API. Docker Hub's differs from its name."""
        return "registry-1.docker.io" if self.host == _HUB else self.host

    @property
    def is_here(self) -> bool:
        """Whether its host is a loopback address."""
        bare = re.sub(r":\d+$", "", self.host).strip("[]")
        try:
            return ipaddress.ip_address(bare).is_loopback
        except ValueError:
            return bare == "localhost"

    def repository(self, name: str) -> str:
        """Return the full name within the registry: `PATH/name`."""
        return f"{self.path}/{name}" if self.path else name

    def reference(self, repository: str, digest: str) -> str:
        """Return the name to run, `HOST/PATH/repository@sha256:...`. Raise RegistryError for a bad digest."""
        if not re.fullmatch(_DIGEST, digest):
            raise RegistryError(f"{digest!r} is not an image's digest", "sha256: and 64 hexadecimal digits")
        return f"{self.name}/{repository}@{digest}"

    def tagged(self, repository: str, tag: str) -> str:
        """Return `HOST/PATH/repository:tag`, the name to show to users."""
        return f"{self.name}/{repository}:{tag}"

    def names(self, reference: str) -> bool:
        """Return whether a reference is to an image of this registry."""
        return reference.startswith(f"{self.name}/")

    def logins(self) -> str:
        """Return the text of a file with its login for Podman and Docker, "" when there is no login."""
        if not self.user:
            return ""
        pair = b64encode(f"{self.user}:{self.password.value}".encode()).decode()
        names = (_HUB, _HUB_LOGIN) if self.host == _HUB else (self.host,)
        return json.dumps({"auths": {name: {"auth": pair} for name in names}}, indent=1)

    def split(self, reference: str) -> tuple[str, str]:
        """Return the repository (without PATH) and the digest or tag of one of its references."""
        rest = reference.removeprefix(f"{self.name}/")
        repository, _, version = rest.partition("@" if "@" in rest else ":")
        return repository, version


def parse(text: str, key: str = "registry.url") -> tuple[str, str]:
    """Return host and path of the setting `key`. Raise RegistryError naming it, and what is allowed."""
    host, slash, path = text.partition("/")
    if not re.fullmatch(_HOST, host) or (slash and not re.fullmatch(_PATH, path)):
        raise RegistryError(f"{key} is {text!r}, which is not the address of a registry", _HINT)
    port = re.search(r":(\d+)$", host)
    if port and not 1 <= int(port[1]) <= 65535:
        raise RegistryError(f"{key} is {text!r}: there is no port {port[1]}", "ports are 1 to 65535")
    if not port and "." not in host and host != "localhost":
        sentence = f"{key} is {text!r}: Podman and Docker take {host} for a user's name, not for a host"
        raise RegistryError(sentence, f"write {host}:443, or its name with a dot in it")
    if host == _HUB and not path:
        raise RegistryError(f"{key} is {text!r}, which lacks whose images they are", f"write {_HUB}/USER")
    return host, path
