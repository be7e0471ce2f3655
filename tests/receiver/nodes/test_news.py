"""What etcd is told of nodes: how each is, and that one is gone."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from support.nodes.book import node

from receiver.ledger.publisher import Publisher
from receiver.nodes.book import NodeBook
from receiver.nodes.news import NodeNews
from registry.etcd.store import Listing, Store
from registry.keys import Keys
from units.nodes.link import Links
from units.nodes.node import Login
from units.placement.capacity import Need, Use

PATIENCE = 20


class FakeStore:
    """Has heard of a node that is gone by now; what is put is put into `told`."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, Any, int | None]] = queue.Queue()

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        self.told.put((key, json.loads(value), ttl))

    def list(self, prefix: str) -> Listing:
        return Listing(1, {f"{prefix}/gone": "{}"})

    def next(self) -> tuple[str, Any, int | None]:
        return self.told.get(timeout=PATIENCE)


@pytest.fixture
def nobody() -> Iterator[Login]:
    """Where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Login("ops", "127.0.0.1", bound.getsockname()[1], "ssh-ed25519 AAAA")


def test_nodes_are_told_as_they_are_and_again_when_they_change(tmp_path: Path, nobody: Login) -> None:
    store, book, taken = FakeStore(), NodeBook(tmp_path / "nodes"), [Use("node1", Need(3, 0))]
    publisher, links = Publisher(cast(Store, store), Keys()), Links(book.identity, 1)
    book.add(node(login=nobody), "id1")
    NodeNews(book, links, lambda: taken, publisher, PATIENCE).begin()

    key, value, ttl = store.next()
    assert (key, value["state"], value["slots"], ttl) == (
        "/nap/nodes/node1", "away", {"all": 4, "used": 3, "free": 1}, None,
    )  # fmt: skip
    assert store.next() == ("/nap/nodes/gone", {}, 1)

    taken.clear()
    book.drain("node1")
    publisher.changed.set()
    _, value, _ = store.next()
    assert (value["drained"], value["slots"]["used"]) == (True, 0)

    book.remove("node1")
    publisher.changed.set()
    assert store.next() == ("/nap/nodes/node1", {}, 1)
    publisher.close()
    links.close()
