"""A real etcd for tests: import the fixtures into the test file that needs them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from registry import Endpoint, Keys, Listing, Member, Secret, Store, StoreSettings, certificates, open_store
from registry.etcd.endpoint import Api
from registry.etcd.server import start, stop
from registry.etcd.v3 import Etcd3Store, folder_range
from registry.node_proxy import proxy as node_proxy
from registry.node_proxy.access import NodeAccess

# Far longer than anything here takes: a test that gets here has failed.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("etcd")
    yield start(folder, lambda line: None)
    stop(folder)


@dataclass(frozen=True)
class Guarded:
    """An etcd that others reach: as the receiver, and as the nodes of the home "h1" speak to it."""

    folder: Path
    receiver: Endpoint
    nodes: Endpoint
    keys: Keys

    def access(self, key: str, value: str) -> NodeAccess:
        """What a node has to announce this."""
        return NodeAccess.of(self.nodes)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """An etcd of somebody else's, who has made users in v3: the receiver's and the nodes'."""
    yield from _others(tmp_path_factory.mktemp("guarded"), make_users3, "v3")


@pytest.fixture(scope="module")
def admins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The same in v2."""
    yield from _others(tmp_path_factory.mktemp("admins"), make_users2, "v2")


def _others(
    folder: Path, make_users: Callable[[Endpoint, Endpoint, Keys], None], api: Api
) -> Iterator[Guarded]:
    try:
        own = replace(start(folder, lambda line: None), api=api)
        receiver = replace(own, user="root", password=Secret("receiver's"))
        nodes = replace(own, user="nodes", password=Secret('the "nodes\'" p\\ssword'))
        make_users(receiver, nodes, Keys("h1"))
        yield Guarded(folder, receiver, nodes, Keys("h1"))
    finally:
        stop(folder)


# What nodes call this machine by: an address that is not the receiver's, and a name.
ADDRESSES = ("127.0.0.2", "localhost")


@dataclass(frozen=True)
class Proxied:
    """An etcd of nap's own, and the proxy before it: the home "h1"."""

    home: Path
    receiver: Endpoint
    keys: Keys

    @property
    def folder(self) -> Path:
        return self.home / "etcd"

    @property
    def door(self) -> node_proxy.Door:
        door = node_proxy.known(self.home)
        assert door
        return door

    def access(self, key: str, value: str) -> NodeAccess:
        return replace(self.door.access(), password=Secret(self.door.password(key, value)))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    yield from _proxied(tmp_path_factory.mktemp("proxied"), "v2")


@pytest.fixture(scope="module")
def proxied3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """The same before an etcd that is spoken to through v3."""
    yield from _proxied(tmp_path_factory.mktemp("proxied3"), "v3")


def _proxied(home: Path, api: Api) -> Iterator[Proxied]:
    try:
        yield proxied_home(home, api)
    finally:
        node_proxy.stop(home)
        stop(home / "etcd")


def proxied_home(home: Path, api: Api = "v2") -> Proxied:
    (home / "log").mkdir()
    receiver = replace(start(home / "etcd", lambda line: None), api=api)
    certificates.ensure(home / "etcd" / "tls", ADDRESSES)
    StoreSettings(receiver, Keys("h1")).save(home / "etcd.json")
    node_proxy.start(home, ADDRESSES, lambda line: None)
    return Proxied(home, receiver, Keys("h1"))


def make_users3(receiver: Endpoint, nodes: Endpoint, keys: Keys) -> None:
    """As an administrator would with etcdctl."""
    store = Etcd3Store(replace(receiver, user=""), PATIENCE)
    right = {"permType": "READWRITE", **folder_range(keys.announced)}
    store.ask("/auth/role/add", {"name": "root"})
    store.ask("/auth/role/add", {"name": "nodes"})
    store.ask("/auth/role/grant", {"name": "nodes", "perm": right})
    for user in (receiver, nodes):
        store.ask("/auth/user/add", {"name": user.user, "password": user.password.value})
        store.ask("/auth/user/grant", {"user": user.user, "role": user.user})
    store.ask("/auth/enable", {})


def make_users2(receiver: Endpoint, nodes: Endpoint, keys: Keys) -> None:
    """As an administrator would with etcdctl."""
    session = requests.Session()
    session.trust_env, session.verify = False, receiver.ca
    session.cert, session.auth = (receiver.cert, receiver.key), (receiver.user, receiver.password.value)
    rights = [f"{keys.announced}/*"]
    for path, body in (
        ("users/root", {"user": "root", "password": receiver.password.value}),
        ("roles/nodes", {"role": "nodes", "permissions": {"kv": {"read": rights, "write": rights}}}),
        ("users/nodes", {"user": "nodes", "password": nodes.password.value, "roles": ["nodes"]}),
        ("enable", {}),
        ("roles/guest", {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}),
    ):
        session.put(f"{receiver.url}/v2/auth/{path}", json=body, timeout=PATIENCE).raise_for_status()


@pytest.fixture(params=["v2", "v3", "v3 with users"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    if request.param == "v3 with users":
        return request.getfixturevalue("guarded").receiver
    return replace(request.getfixturevalue("etcd"), api=request.param)


@pytest.fixture
def store(endpoint: Endpoint) -> Store:
    return open_store(endpoint)


@pytest.fixture
def keys() -> Keys:
    """A corner of etcd for one test alone."""
    return Keys(f"t{uuid.uuid4().hex[:8]}")


def member(index: int, run: int = 1, ip: str = "127.64.0.1") -> Member:
    return Member(f"slave{index}", ip, 2200 + index, 1, "here", 3, run)


def until(
    store: Store,
    folder: str,
    holds: Callable[[Listing], bool],
    meanwhile: Callable[[], None] = lambda: None,
) -> Listing:
    """Wait for the folder to be as wanted; `meanwhile` is called again and again."""
    end = time.monotonic() + PATIENCE
    with store.watch(folder) as watch:
        while True:
            listing = store.list(folder)
            if holds(listing):
                return listing
            assert time.monotonic() < end, f"never came true of {dict(listing.entries)}"
            watch.wait(listing.index, 0.2)
            meanwhile()


def wait_once(store: Store, folder: str, index: int, timeout: float) -> None:
    with store.watch(folder) as watch:
        watch.wait(index, timeout)


def finishes(work: Callable[[], object]) -> Callable[[], None]:
    """Start work that has to wait; the answer asserts that it came to its end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def check() -> None:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "still waits"
        if failures:
            raise failures[0]

    return check
