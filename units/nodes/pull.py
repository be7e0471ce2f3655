"""How nodes get images: what a registry is to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from units.nodes.archive import Sent
from units.nodes.node import Node

# Seconds that a node has for getting an image.
FETCH_WITHIN = 900
_DOCKERS = PurePosixPath("/etc/docker/certs.d")


@dataclass(frozen=True)
class Registry:
    """`called` is what nodes call an image of the receiver's; `ca` a text in PEM, `logins` one in JSON.

    `host` is the registry's HOST[:PORT] as nodes see it. Both texts may be empty.
    """

    called: Callable[[str], str]
    host: str
    ca: str = ""
    logins: str = field(default="", repr=False)
    insecure: bool = False

    def files(self, node: Node, folder: PurePosixPath) -> Iterator[Sent]:
        """What a run's `fetch` script finds beside it; Docker's daemon looks in one place alone."""
        yield Sent(folder / "registry" / "config.json", self.logins or '{"auths": {}}', 0o600)
        if self.ca:
            yield Sent(folder / "registry" / "ca.crt", self.ca)
        if self.insecure:
            yield Sent(folder / "registry" / "insecure", "")
        if self.ca and node.kind == "docker":
            yield Sent(_DOCKERS / self.host / "ca.crt", self.ca)
