"""How nodes reach this receiver: its address, and the access data for its etcd and its registry."""

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
    """Return this machine's addresses for nodes: the configured one, or the source address to each node.

    Raise ReceiverError when none is configured and there are no nodes, or a node's host cannot be routed to.
    """
    if settings.nodes.address:
        return (settings.nodes.address,)
    found = dict.fromkeys(_towards(node.login.host) for node in NodeBook(home.nodes).all())
    if not found:
        raise ReceiverError("there are no nodes yet", "nap nodes add USER@HOST, for each of them")
    return tuple(found)


def _towards(host: str) -> str:
    """Return the source address the kernel would use for `host`. Connecting a UDP socket sends nothing."""
    try:
        ((family, kind, _, _, place), *_) = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise ReceiverError(f"the way to {host} is not known: {error}", "see: nap nodes") from error


def etcd(home: Home, settings: EtcdSettings) -> Etcd:
    """Return how nodes announce slaves: through the proxy in front of nap's etcd, or to a configured etcd.

    Raise ReceiverError when the proxy has never run.
    """
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
    """Return the endpoint with the nodes' own certificate and user where the settings have them."""
    if nodes.cert:
        endpoint = replace(endpoint, cert=nodes.cert, key=nodes.key)
    if nodes.user:
        password = image_registry.secret("etcd.nodes.password_file", nodes.password_file)
        endpoint = replace(endpoint, user=nodes.user, password=password)
    return endpoint


def registry(home: Home, settings: Settings) -> Registry:
    """Return how nodes pull images: read-only from nap's own registry, or from a configured one.

    A configured registry is read with the receiver's access. Raise ReceiverError when nodes have none yet.
    """
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
