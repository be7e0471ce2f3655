"""The services that nodes have to reach at the receiver, to the extent that it listens for nodes already."""

from __future__ import annotations

from pathlib import Path

from receiver import engine_choice
from receiver.builds import image_registry
from receiver.home import settings
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.nodes.facts import Part
from registry.certificates import Certificates
from registry.etcd import server as etcd_server
from registry.images import mirror as image_mirror
from registry.images.address import ImageRegistry
from registry.node_proxy import proxy as node_proxy


def parts(home: Home) -> tuple[Part, ...]:
    """Return etcd and the image registry. The URL is "" for one that only listens on this machine so far."""
    ours = settings.load(home.settings)
    return (_etcd(home, ours), _registry(home, ours))


def _etcd(home: Home, ours: Settings) -> Part:
    if ours.etcd.url:
        return Part("etcd", ours.etcd.url, _text(ours.etcd.ca))
    door = node_proxy.known(home.root) if engine_choice.facts(home).on_nodes else None
    return Part("etcd", door.url, _text(str(door.files.ca))) if door else Part("etcd", "")


def _registry(home: Home, ours: Settings) -> Part:
    registry = image_registry.configured(ours.registry) if ours.registry.url else own_registry(home)
    if registry is None or registry.is_here:
        return Part("registry", "")
    scheme = "http" if registry.insecure else "https"
    return Part("registry", f"{scheme}://{registry.api_host}/v2/", _text(registry.ca))


def own_registry(home: Home) -> ImageRegistry | None:
    """Return nap's own registry as nodes reach it, or None when nodes cannot reach it."""
    if not engine_choice.facts(home).on_nodes:
        return None
    return image_mirror.known(home.image_registry, Certificates(home.etcd / etcd_server.CERTIFICATES))


def _text(path: str) -> str:
    return Path(path).read_text() if path else ""
