"""How nodes reach this receiver: the address they use, and what they need of its etcd and its registry."""

from __future__ import annotations

import socket
from dataclasses import replace

from receiver.builds import image_registry
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import EtcdNodeSettings, EtcdSettings, Settings
from receiver.nodes.book import NodeBook
from receiver.nodes.reachable_parts import own_registry
from registry.etcd.endpoint import Endpoint, StoreSettings
from registry.node_proxy import proxy as node_proxy
from registry.node_proxy.access import NodeAccess, NodePull
from units.nodes.announce import Etcd
from units.nodes.pull import Registry


def addresses(home: Home, settings: Settings) -> tuple[str, ...]:
    """What nodes call this machine by: as settings say, else the address it has towards each of them."""
    if settings.nodes.address:
        return (settings.nodes.address,)
    found = dict.fromkeys(_towards(node.login.host) for node in NodeBook(home.nodes).all())
    if not found:
        raise ReceiverError("there are no nodes yet", "nap nodes add USER@HOST, for each of them")
    return tuple(found)


def _towards(host: str) -> str:
    """The address of ours that the kernel would speak from; nothing is sent for it."""
    try:
        ((family, kind, _, _, place), *_) = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise ReceiverError(f"the way to {host} is not known: {error}", "see: nap nodes") from error


def etcd(home: Home, settings: EtcdSettings) -> Etcd:
    """How nodes announce slaves: through the proxy before nap's etcd, else as settings say."""
    if settings.url:
        endpoint = StoreSettings.load(home.etcd_settings).endpoint
        return _etcd(NodeAccess.of(_as_nodes(endpoint, settings.nodes)))
    door = node_proxy.known(home.root)
    if door is None:
        raise ReceiverError("nodes cannot announce anything yet", "nap up --engine systemd")
    return replace(_etcd(door.access()), sign=door.password)


def _etcd(access: NodeAccess) -> Etcd:
    return Etcd(
        access.url, access.api, access.ca, access.cert, access.key.value, access.user, access.password.value
    )


def _as_nodes(endpoint: Endpoint, nodes: EtcdNodeSettings) -> Endpoint:
    """The same etcd as who nodes are, where settings say that they are somebody else."""
    if nodes.cert:
        endpoint = replace(endpoint, cert=nodes.cert, key=nodes.key)
    if nodes.user:
        password = image_registry.secret("etcd.nodes.password_file", nodes.password_file)
        endpoint = replace(endpoint, user=nodes.user, password=password)
    return endpoint


def registry(home: Home, settings: Settings) -> Registry:
    """How nodes fetch images: from nap's own through a door that only lets out, else as the receiver does."""
    ours = image_registry.of(home, settings.registry)
    seen = ours
    if not settings.registry.url:
        door = own_registry(home)
        if door is None:
            raise ReceiverError("nodes cannot fetch images yet", "nap up --engine systemd")
        seen = door
    pull = NodePull.of(seen)
    return Registry(
        lambda image: pull.called(image, ours), pull.host, pull.ca, pull.logins.value, pull.insecure
    )
