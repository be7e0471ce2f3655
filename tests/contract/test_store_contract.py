"""What every store does, on both APIs of a real etcd."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.etcd import PATIENCE, endpoint, etcd, finishes, guarded, keys, member, store, until, wait_once

from registry import Endpoint, Keys, Member, RegistryError, RunSlaves, Secret, Store, gather, open_store
from registry.etcd.endpoint import Api
from registry.etcd.server import start, stop

__all__ = ["endpoint", "etcd", "guarded", "keys", "store"]

LONG = 60.0


def put_members(store: Store, keys: Keys, indices: list[int], run: int = 1) -> None:
    entries = {keys.slave("heat", i): member(i, run).to_json() for i in indices}
    store.put_all(entries, 60)


def test_what_is_put_is_listed_under_its_whole_key(store: Store, keys: Keys) -> None:
    store.put(keys.app("heat"), '{"release": 1, "text": "ü"}')
    listing = store.list(keys.apps)
    assert listing.entries == {keys.app("heat"): '{"release": 1, "text": "ü"}'}
    assert listing.index > 0


def test_a_folder_without_end_is_a_sentence_or_a_listing(store: Store, keys: Keys) -> None:
    """Who may write below it chooses how deep."""
    key = keys.slave("heat", 1) + "/a" * 2000
    store.put(key, "deep", 60)
    with suppress(RegistryError):
        assert store.list(keys.slaves("heat")).entries == {key: "deep"}


def test_put_replaces_what_is_there(store: Store, keys: Keys) -> None:
    store.put(keys.node("n1"), "old", 60)
    store.put(keys.node("n1"), "new", 60)
    assert store.list(keys.nodes).entries == {keys.node("n1"): "new"}


def test_an_absent_folder_lists_as_empty(store: Store, keys: Keys) -> None:
    assert store.list(keys.nodes).entries == {}


def test_a_folder_whose_name_only_begins_the_same_is_not_listed(store: Store, keys: Keys) -> None:
    store.put(keys.run("heat", 1), "mine")
    store.put(keys.run("heat2", 1), "not mine")
    assert list(store.list(keys.runs("heat")).entries) == [keys.run("heat", 1)]


def test_refreshed_keys_outlive_one_that_is_not(store: Store, keys: Keys) -> None:
    alive = {keys.node("n1"): "one", keys.node("n2"): "two"}
    store.put_all(alive, 5)
    store.put(keys.node("n3"), "dead", 2)
    left = until(
        store,
        keys.nodes,
        lambda listing: keys.node("n3") not in listing.entries,
        meanwhile=lambda: store.refresh_all(alive, 5),
    )
    assert left.entries == alive


def test_a_refresh_writes_an_expired_key_again(store: Store, keys: Keys) -> None:
    store.put(keys.node("n1"), "here", 1)
    until(store, keys.nodes, lambda listing: not listing.entries)
    store.refresh(keys.node("n1"), "here", 60)
    assert store.list(keys.nodes).entries == {keys.node("n1"): "here"}


def test_a_refresh_leaves_what_is_anothers_now(endpoint: Endpoint, keys: Keys) -> None:
    old, new = open_store(endpoint), open_store(endpoint)
    old.put(keys.node("n1"), "old", 60)
    new.put(keys.node("n1"), "new", 60)
    old.refresh(keys.node("n1"), "old", 60)
    assert new.list(keys.nodes).entries == {keys.node("n1"): "new"}


def test_a_key_deleted_behind_our_back_comes_back_with_the_next_refresh(
    endpoint: Endpoint, keys: Keys
) -> None:
    ours, other = open_store(endpoint), open_store(endpoint)
    entries = {keys.node("n1"): "one", keys.node("n2"): "two"}
    ours.put_all(entries, 60)
    other.remove(keys.node("n1"), "one")
    ours.refresh_all(entries, 60)
    assert other.list(keys.nodes).entries == entries


def test_an_old_unit_never_removes_a_new_ones_key(endpoint: Endpoint, keys: Keys) -> None:
    old, new = open_store(endpoint), open_store(endpoint)
    old.put(keys.node("n1"), "old", 60)
    new.put(keys.node("n1"), "new", 60)
    old.remove(keys.node("n1"), "old")
    assert new.list(keys.nodes).entries == {keys.node("n1"): "new"}
    new.remove(keys.node("n1"), "new")
    assert new.list(keys.nodes).entries == {}


def test_removing_what_is_not_there_is_no_error(store: Store, keys: Keys) -> None:
    store.remove(keys.node("n1"), "here")
    assert store.list(keys.nodes).entries == {}


def put(store: Store, keys: Keys) -> None:
    store.put(keys.node("n2"), "new", 60)


def remove(store: Store, keys: Keys) -> None:
    store.remove(keys.node("n1"), "here")


def expire(store: Store, keys: Keys) -> None:
    """Nothing to do: n1 expires by itself."""


@pytest.mark.parametrize("change", [put, remove, expire])
def test_a_wait_wakes_on(
    change: Callable[[Store, Keys], None], store: Store, endpoint: Endpoint, keys: Keys
) -> None:
    store.put(keys.node("n1"), "here", 2 if change is expire else 60)
    index = store.list(keys.nodes).index
    woken = finishes(lambda: wait_once(store, keys.nodes, index, LONG))
    change(open_store(endpoint), keys)
    woken()


def test_a_wait_sees_what_happened_since_the_listing(store: Store, keys: Keys) -> None:
    index = store.list(keys.nodes).index
    put(store, keys)
    finishes(lambda: wait_once(store, keys.nodes, index, LONG))()


def test_one_watch_wakes_again_and_again(store: Store, endpoint: Endpoint, keys: Keys) -> None:
    writer = open_store(endpoint)
    with store.watch(keys.nodes) as watch:
        for value in ("a", "b", "c"):
            index = store.list(keys.nodes).index
            woken = finishes(lambda index=index: watch.wait(index, LONG))
            writer.put(keys.node("n1"), value, 60)
            woken()


def test_a_wait_without_a_change_ends_with_its_timeout(store: Store, keys: Keys) -> None:
    put(store, keys)
    listing = store.list(keys.nodes)
    wait_once(store, keys.nodes, listing.index, 0.05)
    assert store.list(keys.nodes).entries == listing.entries


def test_a_wait_from_a_forgotten_index_wakes_at_once(store: Store, endpoint: Endpoint, keys: Keys) -> None:
    index = store.list(keys.nodes).index
    many = {keys.run("heat", n): "x" for n in range(1100)}
    store.put_all(many, None)
    if endpoint.api == "v3":
        compact(store)
    finishes(lambda: wait_once(store, keys.nodes, index, LONG))()


def compact(store: Store) -> None:
    """Have etcd forget all history, as its own compaction does now and then."""
    revision = store.list("/").index
    store.ask("/kv/compaction", {"revision": revision, "physical": True})  # type: ignore[attr-defined]


def test_gather_gives_the_members_in_slave_order(store: Store, keys: Keys) -> None:
    indices = list(range(1, 13))
    random.Random(5).shuffle(indices)
    put_members(store, keys, indices)
    members = gather(store, RunSlaves(keys, "heat", 1, 12), LONG)
    assert members == tuple(member(i) for i in range(1, 13))


def test_gather_ends_with_the_last_member(store: Store, endpoint: Endpoint, keys: Keys) -> None:
    announcer = open_store(endpoint)
    seen: list[Member] = []

    def next_one(newcomer: Member) -> None:
        """Each slave comes only after the one before was seen."""
        seen.append(newcomer)
        if len(seen) < 5:
            put_members(announcer, keys, [len(seen) + 1])

    put_members(announcer, keys, [1])
    finishes(lambda: gather(store, RunSlaves(keys, "heat", 1, 5), LONG, next_one))()
    assert seen == [member(i) for i in range(1, 6)]


def test_gather_knows_a_thousand_members_each_once(store: Store, keys: Keys) -> None:
    seen: list[Member] = []
    put_members(store, keys, list(range(1, 1001)))
    members = gather(store, RunSlaves(keys, "heat", 1, 1000), LONG, seen.append)
    assert members == tuple(seen) == tuple(member(i) for i in range(1, 1001))


def test_gather_takes_no_member_of_another_run(store: Store, keys: Keys) -> None:
    put_members(store, keys, [1, 2], run=6)
    put_members(store, keys, [1], run=7)
    with pytest.raises(RegistryError) as refusal:
        gather(store, RunSlaves(keys, "heat", 7, 2), 0.05)
    assert refusal.value.missing == ("slave2",)


def test_gather_sees_a_slave_take_over_an_old_runs_key(store: Store, endpoint: Endpoint, keys: Keys) -> None:
    put_members(store, keys, [1, 2], run=6)
    gathered = finishes(lambda: gather(store, RunSlaves(keys, "heat", 7, 2), LONG))
    put_members(open_store(endpoint), keys, [1, 2], run=7)
    gathered()


def test_gather_says_at_its_deadline_who_is_missing(store: Store, keys: Keys) -> None:
    put_members(store, keys, [2])
    with pytest.raises(RegistryError, match="slave1, slave3") as refusal:
        gather(store, RunSlaves(keys, "heat", 1, 3), 0.05)
    assert refusal.value.missing == ("slave1", "slave3")


def test_gather_does_not_count_a_member_that_left(store: Store, keys: Keys) -> None:
    put_members(store, keys, [1, 2])
    leave_once = iter([True])

    def leaves(newcomer: Member) -> None:
        if next(leave_once, False):
            store.remove(keys.slave("heat", 1), member(1).to_json())

    # It is looked for once more, and then given up.
    looks = iter([False])
    with pytest.raises(RegistryError) as refusal:
        gather(store, RunSlaves(keys, "heat", 1, 3), LONG, leaves, stopped=lambda: next(looks, True))
    assert refusal.value.missing == ("slave1", "slave3")


def test_gather_passes_over_what_is_no_member(store: Store, keys: Keys) -> None:
    put_members(store, keys, [1])
    store.put(keys.slave("heat", 2), "[not json", 60)
    with pytest.raises(RegistryError) as refusal:
        gather(store, RunSlaves(keys, "heat", 1, 2), 0.05)
    assert refusal.value.missing == ("slave2",)


def test_gather_ends_when_it_is_stopped(store: Store, keys: Keys) -> None:
    answers = iter([False, False, True])
    with pytest.raises(RegistryError, match="stopped"):
        gather(store, RunSlaves(keys, "heat", 1, 1), LONG, stopped=lambda: next(answers))


def test_an_etcd_that_is_away_is_said_to_be_worth_another_try(endpoint: Endpoint, keys: Keys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = open_store(replace(endpoint, url=f"https://127.0.0.1:{port}"))
    for ask in (store.ping, lambda: store.list("/x"), lambda: store.put("/x", "y")):
        with pytest.raises(RegistryError, match="cannot be reached") as refusal:
            ask()
        assert refusal.value.retry
    with pytest.raises(RegistryError, match="cannot be reached"):
        gather(store, RunSlaves(keys, "heat", 1, 1), 0.05)


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_an_etcd_that_does_not_answer_is_asked_once(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        port = frozen.getsockname()[1]
        store = open_store(Endpoint(f"http://127.0.0.1:{port}", api), answer=0.1)
        with pytest.raises(RegistryError) as refusal:
            store.put("/x", "y")
        assert refusal.value.retry
        frozen.accept()[0].close()
        frozen.setblocking(False)
        with pytest.raises(BlockingIOError):
            frozen.accept()


def test_a_wait_at_a_slow_v2_etcd_ends_with_its_timeout() -> None:
    """The v3 client waits on a stream of its own, whose answer comes before there is anything to wait for."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        store = open_store(Endpoint(f"http://127.0.0.1:{slow.getsockname()[1]}", "v2"), answer=0.1)
        wait_once(store, "/x", 1, 0.05)


def test_who_has_no_certificate_is_refused(endpoint: Endpoint) -> None:
    for stranger in (
        replace(endpoint, cert="", key=""),
        replace(endpoint, url=endpoint.url.replace("https", "http")),
    ):
        with pytest.raises(RegistryError):
            open_store(stranger).ping()


def test_a_user_and_a_password_are_enough_where_etcd_asks_for_them(
    endpoint: Endpoint, tmp_path: Path, keys: Keys
) -> None:
    own = replace(start(tmp_path / "etcd", lambda line: None), api=endpoint.api)
    try:
        ask_for_password(own, "root", "secret")
        with pytest.raises(RegistryError):
            open_store(own).put(keys.node("n1"), "here")
        with pytest.raises(RegistryError):
            open_store(replace(own, user="root", password=Secret("wrong"))).list(keys.nodes)
        store = open_store(replace(own, user="root", password=Secret("secret")))
        store.put(keys.node("n1"), "here", 60)
        assert store.list(keys.nodes).entries == {keys.node("n1"): "here"}
        index = store.list(keys.nodes).index
        woken = finishes(lambda: wait_once(store, keys.nodes, index, LONG))
        store.put(keys.node("n1"), "there", 60)
        woken()
    finally:
        stop(tmp_path / "etcd")


def test_a_token_that_etcd_has_forgotten_is_asked_for_anew(
    etcd: Endpoint, tmp_path: Path, keys: Keys
) -> None:
    own = replace(start(tmp_path / "etcd", lambda line: None), api="v3")
    try:
        ask_for_password(own, "root", "secret")
        store = open_store(replace(own, user="root", password=Secret("secret")))
        store.put(keys.node("n1"), "here")
        store._client.session.headers["Authorization"] = "forgotten.1"  # type: ignore[attr-defined]
        assert store.list(keys.nodes).entries == {keys.node("n1"): "here"}
    finally:
        stop(tmp_path / "etcd")


def ask_for_password(endpoint: Endpoint, user: str, password: str) -> None:
    """Switch etcd's own authentication on, as an administrator would with etcdctl."""
    if endpoint.api == "v2":
        client = open_store(endpoint)._client  # type: ignore[attr-defined]
        for path, body in (
            (f"users/{user}", {"user": user, "password": password}),
            ("enable", {}),
        ):
            client.api_execute_json(f"/v2/auth/{path}", "PUT", params=body)
        admin = open_store(replace(endpoint, user=user, password=Secret(password)))
        revoke = {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}
        admin._client.api_execute_json("/v2/auth/roles/guest", "PUT", params=revoke)  # type: ignore[attr-defined]
        return
    store = open_store(endpoint)
    for path, body in (
        ("user/add", {"name": user, "password": password}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": user, "role": "root"}),
        ("enable", {}),
    ):
        store.ask(f"/auth/{path}", body)  # type: ignore[attr-defined]


def test_gather_goes_on_after_etcd_was_away(endpoint: Endpoint, tmp_path: Path, keys: Keys) -> None:
    own = replace(start(tmp_path / "etcd", lambda line: None), api=endpoint.api)
    try:
        seen = threading.Event()
        put_members(open_store(own), keys, [1])
        wanted = RunSlaves(keys, "heat", 1, 2)
        gathered = finishes(lambda: gather(open_store(own), wanted, LONG, lambda _: seen.set()))
        assert seen.wait(PATIENCE)
        stop(tmp_path / "etcd")
        start(tmp_path / "etcd", lambda line: None)
        put_members(open_store(own), keys, [2])
        gathered()
    finally:
        stop(tmp_path / "etcd")
