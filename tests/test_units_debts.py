"""What runs have on nodes, and in what nodes share: owed until it is removed, the shared part at last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from test_units_systemd import ONE, TWO

from units.errors import UnitError
from units.systemd.debts import Debts
from units.systemd.links import Done, Links
from units.systemd.node import Node
from units.systemd.placed import Placed, Share

IMAGE = f"receiver:5000/hello_image@sha256:{'0' * 64}"
SHARED = "/srv/share/nap/default/hello/3/share"
SHARES = tuple(Share(node.name, node.runtime, ("slaves_hello@.service",), ()) for node in (ONE, TWO))
OWN = Placed(
    "hello", 3, "/run/nap/default/hello/3", "node1", "openmpi5", ("nap.run=3",), SHARES, shared="/own"
)  # fmt: skip
IN_COMMON = replace(OWN, shared=SHARED, sharer=1000)


class FakeLinks:
    """Every node is there, but for those that are `away`; `asked` is what was to be removed where.

    Nothing comes of what they have in common while that is `stuck`.
    """

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.stuck = False
        self.asked: list[tuple[str, str, str]] = []
        self.removed = threading.Event()

    def each(self, nodes: Iterable[Node], step: Callable[[Node, Any], Any]) -> dict[str, Any]:
        return {node.name: self._attempt(node, step) for node in nodes}

    def _attempt(self, node: Node, step: Callable[[Node, Any], Any]) -> Any:
        try:
            return step(node, self.to(node))
        except UnitError as error:
            return error

    def to(self, node: Node) -> FakeLink:
        return FakeLink(self, node.name)


class FakeLink:
    def __init__(self, links: FakeLinks, node: str) -> None:
        self._links = links
        self._node = node

    def ask(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> str:
        if self._node in self._links.away:
            raise UnitError("it does not answer")
        words = argv[argv.index("-c") + 2 :] if "-c" in argv else argv
        if words[0] == "remove":
            self._links.asked.append((self._node, "remove", words[3]))
            self._links.removed.set()
        if words[0] == "unshare":
            self._links.asked.append((self._node, f"unshare as {argv[1]}", words[1]))
            if self._links.stuck:
                raise UnitError("it did not end in time")
        return ""

    def run(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> Done:
        if self._node in self._links.away:
            raise UnitError("it does not answer")
        self._links.asked.append((self._node, argv[1], argv[2]))
        return Done(1, b"", "it is in use")


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def debts(tmp_path: Path, links: FakeLinks) -> Debts:
    return Debts(tmp_path / "owed", cast(Links, links), lambda: (ONE, TWO), 1)


def test_what_nobody_thought_of_does_not_end_the_trying(
    debts: Debts, links: FakeLinks, capsys: pytest.CaptureFixture[str]
) -> None:
    debts._every = 0.01
    failures = iter((RuntimeError("can't start new thread"),))

    def nodes() -> tuple[Node, ...]:
        for failure in failures:
            raise failure
        return ONE, TWO

    debts._nodes = nodes
    debts.owe(OWN)
    debts.begin()
    assert links.removed.wait(10)
    assert "can't start new thread" in capsys.readouterr().err


def test_each_node_removes_a_folder_of_its_own(debts: Debts, links: FakeLinks, tmp_path: Path) -> None:
    debts.owe(OWN)
    debts.pay(["node1", "node2"])
    assert links.asked == [("node1", "remove", "/own"), ("node2", "remove", "/own")]
    assert not list(tmp_path.rglob("*.json"))


def test_who_made_it_removes_what_all_have_in_common_when_nobody_writes_there(
    debts: Debts, links: FakeLinks, tmp_path: Path
) -> None:
    links.away = {"node2"}
    debts.owe(IN_COMMON)
    debts.pay(["node1", "node2"])
    assert links.asked == [("node1", "remove", "")]

    links.away = set()
    debts.clear(TWO, cast(Any, links.to(TWO)))
    debts.pay(["node1", "node2"])
    assert links.asked[1] == ("node2", "remove", "")
    assert links.asked[2:] == [(IN_COMMON.master, "unshare as --reuid=1000", SHARED)]
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_used_anew_is_not_removed(debts: Debts, links: FakeLinks) -> None:
    debts.owe(IN_COMMON)
    debts.keep_shared(IN_COMMON)
    debts.pay(["node1", "node2"])
    assert [how for _, how, _ in links.asked] == ["remove", "remove"]


def test_who_ends_a_run_waits_once_for_what_is_stuck(debts: Debts, links: FakeLinks, tmp_path: Path) -> None:
    links.stuck = True
    debts.owe(IN_COMMON)
    debts.pay(["node1", "node2"])
    debts.pay(["node1", "node2"])
    assert [how for _, how, _ in links.asked].count("unshare as --reuid=1000") == 1
    assert [path.name for path in tmp_path.rglob("*.json")] == ["hello.3.json"]


def test_an_image_goes_after_the_runs_that_used_it_and_once(debts: Debts, links: FakeLinks) -> None:
    debts.owe_image(ONE, IMAGE)
    debts.owe(OWN)
    debts.pay(["node1"])
    debts.pay(["node1"])
    assert links.asked == [("node1", "remove", "/own"), ("node1", "rmi", IMAGE)]


def test_what_cannot_be_read_here_for_once_does_not_end_the_trying(tmp_path: Path, links: FakeLinks) -> None:
    once = iter([OSError(24, "Too many open files")])

    def nodes() -> tuple[Node, ...]:
        for error in once:
            raise error
        return (ONE, TWO)

    debts = Debts(tmp_path / "owed", cast(Links, links), nodes, 0.01)
    debts.owe(OWN)
    debts.begin()
    assert links.removed.wait(5)


class Idle(threading.Event):
    """What somebody waits for, once there is nothing to do."""

    def __init__(self, debts: Debts) -> None:
        super().__init__()
        self._begun = threading.Event()
        debts._due = self
        debts.begin()
        assert self._begun.wait(5)

    def wait(self, timeout: float | None = None) -> bool:
        self._begun.set()
        return super().wait(timeout)


def test_what_is_owed_without_being_paid_is_tried_soon(debts: Debts, links: FakeLinks) -> None:
    Idle(debts)
    debts.owe(OWN)
    debts.try_soon()
    assert links.removed.wait(5)
