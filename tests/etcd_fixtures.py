"""A real etcd for tests: import the fixtures into the test file that needs them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from registry import Endpoint, Keys, Listing, Member, Store, open_store
from registry.etcd_server import start, stop

# Far longer than anything here takes: a test that gets here has failed.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("etcd")
    yield start(folder, lambda line: None)
    stop(folder)


@pytest.fixture(params=["v2", "v3"])
def endpoint(etcd: Endpoint, request: pytest.FixtureRequest) -> Endpoint:
    return replace(etcd, api=request.param)


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
