"""How nodes pull images: the registry as they see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from units.nodes.archive import Sent
from units.nodes.node import Node

# Seconds for pulling an image.
FETCH_WITHIN = 900
_DOCKERS = PurePosixPath("/etc/docker/certs.d")


@dataclass(frozen=True)
class Registry:
    """A registry as nodes see it, at `host` (HOST[:PORT]).

    `called` maps the receiver's name of an image to the nodes' name. `ca` is PEM text and `logins` JSON text;
    both can be empty.
    """

    called: Callable[[str], str]
    host: str
    ca: str = ""
    logins: str = field(default="", repr=False)
    insecure: bool = False

    def files(self, node: Node, folder: PurePosixPath) -> Iterator[Sent]:
        """Yield the files for a run's `fetch` script. Docker reads CAs in /etc/docker/certs.d only."""
        yield Sent(folder / "registry" / "config.json", self.logins or '{"auths": {}}', 0o600)
        if self.ca:
            yield Sent(folder / "registry" / "ca.crt", self.ca)
        if self.insecure:
            yield Sent(folder / "registry" / "insecure", "")
        if self.ca and node.kind == "docker":
            yield Sent(_DOCKERS / self.host / "ca.crt", self.ca)
