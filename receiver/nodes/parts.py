"""What nodes have to reach at the receiver, as far as it listens for them already."""

from __future__ import annotations

from pathlib import Path

from receiver import engines, settings
from receiver.images import registries
from receiver.nodes.facts import Part
from receiver.paths import Home
from receiver.settings import Settings
from registry import etcd_server, node_images
from registry.certificates import Certificates
from registry.endpoint import Settings as StoreSettings
from registry.image_address import Registry


def parts(home: Home) -> tuple[Part, ...]:
    """etcd and the registry of images; without a URL what listens on this machine alone so far."""
    ours = settings.load(home.settings)
    return (_etcd(home, ours), _registry(home, ours))


def _etcd(home: Home, ours: Settings) -> Part:
    if ours.etcd.url:
        return Part("etcd", ours.etcd.url, _text(ours.etcd.ca))
    file = home.etcd / etcd_server.NODES
    if engines.current(home) not in engines.ON_NODES or not file.exists():
        return Part("etcd", "")
    endpoint = StoreSettings.load(file).endpoint
    return Part("etcd", endpoint.url, _text(endpoint.ca))


def _registry(home: Home, ours: Settings) -> Part:
    registry = registries.configured(ours.registry) if ours.registry.url else own_registry(home)
    if registry is None or registry.is_here:
        return Part("registry", "")
    scheme = "http" if registry.insecure else "https"
    return Part("registry", f"{scheme}://{registry.api_host}/v2/", _text(registry.ca))


def own_registry(home: Home) -> Registry | None:
    """nap's own as nodes see it; None where they don't."""
    if engines.current(home) not in engines.ON_NODES:
        return None
    return node_images.known(home.image_registry, Certificates(home.etcd / etcd_server.CERTIFICATES))


def _text(path: str) -> str:
    return Path(path).read_text() if path else ""
