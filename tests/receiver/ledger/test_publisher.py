"""What is told to etcd: never waited for, and lost without harm."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import cast

import pytest

from receiver.ledger import publisher
from receiver.ledger.ledger import Release, Run
from receiver.ledger.publisher import Publisher
from registry.errors import RegistryError
from registry.etcd.store import Store
from registry.keys import Keys

PATIENCE = 20


class FakeStore:
    """Takes keys as etcd would, once `open` is set."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[str, int | None]] = {}
        self.open = threading.Event()
        self.open.set()
        self.broken = False

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        self.open.wait(PATIENCE)
        if self.broken:
            raise RegistryError("etcd is away", retry=True)
        self.entries[key] = (value, ttl)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def told(store: FakeStore) -> Publisher:
    return Publisher(cast(Store, store), Keys())


def values(store: FakeStore) -> Mapping[str, object]:
    return {key: json.loads(value) for key, (value, ttl) in store.entries.items() if ttl is None}


def test_a_run_and_a_release_are_there_under_their_keys(store: FakeStore, told: Publisher) -> None:
    told.run(Run("hello", 3, "c1", state="running", slaves=2, who="ada", slots=(2, 1), started="then"))
    told.release(Release("hello", 2, "c1", "sha256:1", "{}", "now"))
    told.close()
    assert set(values(store)) == {"/nap/runs/hello/3", "/nap/apps/hello"}
    run = values(store)["/nap/runs/hello/3"]
    assert isinstance(run, dict)
    assert (run["state"], run["exit_code"]) == ("running", None)
    assert (run["schema"], run["who"], run["slots"], run["started"]) == (2, "ada", [2, 1], "then")
    assert (run["commit"], run["commit_id"], run["hosts"]) == ("c1", "c1", 2)
    assert values(store)["/nap/apps/hello"] == {"release": 2, "commit": "c1", "image": "sha256:1"}


def test_a_run_long_ago_is_taken_away(store: FakeStore, told: Publisher) -> None:
    told.run(Run("hello", 25, "c1", state="failed", exit_code=1))
    told.close()
    assert store.entries["/nap/runs/hello/5"] == ("{}", 1)


def test_a_destroyed_app_leaves_nothing(store: FakeStore, told: Publisher) -> None:
    told.gone("hello", [1, 2])
    told.close()
    assert {key for key, (_, ttl) in store.entries.items() if ttl == 1} == {
        "/nap/apps/hello", "/nap/runs/hello/1", "/nap/runs/hello/2",
    }  # fmt: skip


def test_an_etcd_that_is_away_is_said_in_the_log_alone(
    store: FakeStore, told: Publisher, capfd: pytest.CaptureFixture[str]
) -> None:
    store.broken = True
    told.run(Run("hello", 1, "c1"))
    told.close()
    assert "/nap/runs/hello/1 was not published" in capfd.readouterr().err


def test_an_etcd_that_hangs_holds_nobody_up(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_HELD", 2)
    monkeypatch.setattr(publisher, "_LAST", 0.01)
    store.open.clear()
    told = Publisher(cast(Store, store), Keys())
    for number in range(1, 10):
        told.run(Run("hello", number, "c1"))
    told.close()
    assert store.entries == {}
    store.open.set()
