"""The announcer's table, writer and lines, without a process and without etcd."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from registry.discovery.protocol import obey
from registry.discovery.table import Announced
from registry.discovery.writer import Writer
from registry.errors import RegistryError
from registry.etcd.store import Listing, Store, Watch
from registry.etcd.v3_leases import Leases
from registry.timing import Timing


class MemoryStore(Store):
    """Keeps keys in a dict; refuses `poison`, and everything while it is `away`."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.refreshed: list[str] = []
        self.away = False
        self.poison = ""

    def put_all(self, entries: Mapping[str, str], ttl: int | None) -> None:
        self._check(entries)
        self.entries.update(entries)

    def refresh_all(self, entries: Mapping[str, str], ttl: int) -> None:
        self._check(entries)
        self.refreshed += sorted(entries)

    def remove_all(self, entries: Mapping[str, str]) -> None:
        self._check(entries)
        for key, value in entries.items():
            if self.entries.get(key) == value:
                del self.entries[key]

    def ping(self) -> None:
        self._check({})

    def list(self, prefix: str) -> Listing:
        raise NotImplementedError

    def watch(self, prefix: str) -> Watch:
        raise NotImplementedError

    def _check(self, entries: Mapping[str, str]) -> None:
        if self.away:
            raise RegistryError("etcd is away.", retry=True)
        if self.poison in entries:
            raise RegistryError("etcd refuses it.")


class Desk:
    """A writer on a store in memory, at a clock that is set by hand."""

    def __init__(self) -> None:
        self.announced = Announced()
        self.store = MemoryStore()
        self.said: list[str] = []
        self.now = 0.0
        self.writer = Writer(
            self.announced,
            lambda: self.store,
            Timing(ttl=60, refresh=20, retry=0.001),
            self.said.append,
            lambda: self.now,
        )

    def step(self, after: float = 0.0) -> None:
        self.now += after
        self.writer.step()


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.step()
    return desk


def test_an_announcement_is_written_once(desk: Desk) -> None:
    desk.announced.announce("runner", "/a", "1")
    desk.step()
    assert desk.store.entries == {"/a": "1"}
    desk.announced.announce("runner", "/a", "1")
    assert not desk.announced.take(0).puts


def test_a_changed_value_is_written_again(desk: Desk) -> None:
    for value in ("1", "2"):
        desk.announced.announce("runner", "/a", value)
        desk.step()
    assert desk.store.entries == {"/a": "2"}


def test_only_what_was_seen_alive_since_the_last_refresh_is_refreshed(desk: Desk) -> None:
    for key in ("/a", "/b"):
        desk.announced.announce("runner", key, "1")
    desk.step()
    desk.announced.alive(["/a", "/unknown"])
    desk.step(after=20)
    assert desk.store.refreshed == ["/a"]
    desk.step(after=20)
    assert desk.store.refreshed == ["/a"]


def test_who_leaves_takes_only_what_is_still_its_own(desk: Desk) -> None:
    desk.announced.announce("old", "/a", "1")
    desk.announced.announce("old", "/b", "1")
    desk.announced.announce("new", "/a", "1")
    desk.step()
    desk.announced.withdraw("old", "/a")
    desk.announced.leave("old")
    desk.step()
    assert desk.store.entries == {"/a": "1"}


def test_what_is_announced_again_is_not_removed(desk: Desk) -> None:
    desk.announced.announce("old", "/a", "1")
    desk.step()
    desk.announced.leave("old")
    desk.announced.announce("new", "/a", "1")
    desk.step()
    assert desk.store.entries == {"/a": "1"}


def test_nothing_is_lost_while_etcd_is_away_and_it_is_said_once(desk: Desk) -> None:
    desk.announced.announce("runner", "/a", "1")
    desk.announced.announce("runner", "/b", "1")
    desk.step()
    desk.store.away = True
    desk.announced.announce("runner", "/c", "1")
    desk.announced.withdraw("runner", "/a")
    desk.announced.alive(["/b"])
    desk.step(after=20)
    desk.step()
    desk.store.away = False
    desk.step()
    assert desk.store.entries == {"/b": "1", "/c": "1"}
    assert desk.store.refreshed == ["/b"]
    assert len(desk.said) == 2
    assert "etcd is away" in desk.said[0]
    assert "back" in desk.said[1]


def test_an_etcd_that_has_moved_is_found_at_its_new_place(desk: Desk) -> None:
    old, desk.store = desk.store, MemoryStore()
    old.away = True
    desk.announced.announce("runner", "/a", "1")
    desk.step()
    desk.step()
    assert desk.store.entries == {"/a": "1"}


def test_a_key_that_etcd_refuses_harms_no_other(desk: Desk) -> None:
    desk.store.poison = "/b"
    for key in ("/a", "/b", "/c"):
        desk.announced.announce("runner", key, "1")
    desk.step()
    assert desk.store.entries == {"/a": "1", "/c": "1"}
    assert desk.said == ["/b is left out: etcd refuses it."]


def test_a_withdrawal_just_before_the_end_is_still_written(desk: Desk) -> None:
    desk.announced.announce("runner", "/a", "1")
    desk.announced.announce("runner", "/b", "1")
    desk.step()
    desk.announced.withdraw("runner", "/a")
    desk.announced.close()
    desk.writer.run()
    assert desk.store.entries == {"/b": "1"}


def test_lines_do_what_they_say() -> None:
    announced = Announced()
    obey(b'{"announce": {"key": "/a/b-1@x.v2", "value": "{}"}}\n', "runner", announced)
    obey(b'{"alive": ["/a/b-1@x.v2"]}\n', "runner", announced)
    assert announced.take(0).puts == {"/a/b-1@x.v2": "{}"}
    assert announced.seen() == {"/a/b-1@x.v2": "{}"}
    obey(b'{"withdraw": "/a/b-1@x.v2"}\n', "runner", announced)
    assert announced.take(0).removals == {"/a/b-1@x.v2": "{}"}


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"3\n",
        b"\xff\xfe\n",
        b'{"announce": "x"}\n',
        b'{"announce": {"key": "/a"}}\n',
        b'{"announce": {"key": "/a", "value": 3}}\n',
        b'{"announce": {"key": "/a", "value": ""}}\n',
        b'{"announce": {"key": "a", "value": "x"}}\n',
        b'{"announce": {"key": "/a?wait=true", "value": "x"}}\n',
        b'{"announce": {"key": "/a/", "value": "x"}}\n',
        b'{"announce": {"key": "/../a", "value": "x"}}\n',
        b'{"alive": 3}\n',
        b'{"alive": "/a"}\n',
        b'{"alive": [3]}\n',
        b'{"withdraw": ["/a"]}\n',
        b'{"alive": [], "withdraw": "/a"}\n',
        b'{"kill": "/a"}\n',
        b"[" * 60000,
    ],
)
def test_a_line_that_is_not_understood_is_refused(line: bytes) -> None:
    with pytest.raises(RegistryError, match="not understood"):
        obey(line, "runner", Announced())


def test_a_lease_is_kept_while_all_its_keys_are() -> None:
    granted = iter([1, 2])
    leases = Leases(lambda ttl: next(granted), lambda lease: True)
    leases.new(["/a", "/b"], 60)
    assert leases.keep(["/a", "/b"]) == {"/a": 1, "/b": 1}
    assert leases.keep(["/a"]) == {}
    leases.new(["/a"], 60)
    assert leases.keep(["/a"]) == {"/a": 2}
    leases.forget(["/b"])
    assert leases.keep(["/a", "/b"]) == {"/a": 2}


def test_a_lease_that_has_expired_keeps_nothing() -> None:
    leases = Leases(lambda ttl: 1, lambda lease: False)
    leases.new(["/a"], 60)
    assert leases.keep(["/a"]) == {}
