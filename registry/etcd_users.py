"""The users of an etcd that others than the receiver reach: its own, and the one of all nodes.

The v3 API's users: nobody without one may read or write a key.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from registry.endpoint import Endpoint, Secret
from registry.errors import RegistryError
from registry.etcd3 import Etcd3Store, folder_range
from registry.keys import Keys
from registry.store import ANSWER

# etcd gives this user every right, and does not ask for passwords before it exists.
RECEIVER = "root"
NODES = "nodes"


def new_password() -> Secret:
    """32 random bytes, which no number of hashing rounds makes harder to guess."""
    return Secret(secrets.token_urlsafe(32))


def guard(endpoint: Endpoint) -> None:
    """Have etcd ask everybody for a password; `endpoint` has the receiver's. Idempotent."""
    try:
        Etcd3Store(endpoint, ANSWER).ping()
    except RegistryError as error:
        if error.retry:
            raise
        try:
            _switch_on(endpoint)
        except RegistryError as refusal:
            raise RegistryError(
                f"etcd at {endpoint.url} does not take the receiver's password: {refusal.message}",
                "If its settings were lost, remove the folder `data` beside them, then: nap up",
            ) from refusal


def _switch_on(endpoint: Endpoint) -> None:
    store = Etcd3Store(replace(endpoint, user="", password=Secret()), ANSWER)
    _have(store, "/auth/role/add", {"name": RECEIVER})
    _have(store, "/auth/user/add", {"name": RECEIVER, "password": endpoint.password.value})
    store.ask("/auth/user/changepw", {"name": RECEIVER, "password": endpoint.password.value})
    store.ask("/auth/user/grant", {"user": RECEIVER, "role": RECEIVER})
    store.ask("/auth/enable", {})


def admit_nodes(receiver: Endpoint, nodes: Endpoint, keys: Keys) -> None:
    """Have the user of `nodes`, who reads and writes what this home's nodes announce, no more. Idempotent."""
    try:
        Etcd3Store(nodes, ANSWER).list(keys.announced)
    except RegistryError as error:
        if error.retry:
            raise
        _let_in(Etcd3Store(receiver, ANSWER), nodes, keys)


def _let_in(store: Etcd3Store, nodes: Endpoint, keys: Keys) -> None:
    # To write over what is there needs no right to read; to leave what is another's now does.
    permission = {"permType": "READWRITE", **folder_range(keys.announced)}
    _have(store, "/auth/role/add", {"name": NODES})
    store.ask("/auth/role/grant", {"name": NODES, "perm": permission})
    _have(store, "/auth/user/add", {"name": nodes.user, "password": nodes.password.value})
    store.ask("/auth/user/changepw", {"name": nodes.user, "password": nodes.password.value})
    store.ask("/auth/user/grant", {"user": nodes.user, "role": NODES})


def _have(store: Etcd3Store, path: str, body: dict[str, Any]) -> None:
    """Make what may be there already."""
    try:
        store.ask(path, body)
    except RegistryError as error:
        if "already exists" not in error.message:
            raise
