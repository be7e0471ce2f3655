"""What runs have on nodes, and in what nodes share: owed until it is removed, the shared part at last."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from support.jobs.nodes import ONE, TWO
from support.nodes.fake_links import IMAGE, IN_COMMON, OWN, SHARED, FakeLinks, Idle

from units.node_runs.pending_cleanup import NodeCleanup
from units.nodes.link import Links
from units.nodes.node import Node


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def cleanup(tmp_path: Path, links: FakeLinks) -> NodeCleanup:
    return NodeCleanup(tmp_path / "owed", cast(Links, links), lambda: (ONE, TWO), 1)


def test_what_nobody_thought_of_does_not_end_the_trying(
    cleanup: NodeCleanup, links: FakeLinks, capsys: pytest.CaptureFixture[str]
) -> None:
    cleanup._every = 0.01
    failures = iter((RuntimeError("can't start new thread"),))

    def nodes() -> tuple[Node, ...]:
        for failure in failures:
            raise failure
        return ONE, TWO

    cleanup._nodes = nodes
    cleanup.record(OWN)
    cleanup.begin()
    assert links.removed.wait(10)
    assert "can't start new thread" in capsys.readouterr().err


def test_each_node_removes_a_folder_of_its_own(
    cleanup: NodeCleanup, links: FakeLinks, tmp_path: Path
) -> None:
    cleanup.record(OWN)
    cleanup.run_now(["node1", "node2"])
    assert links.asked == [("node1", "remove", "/own"), ("node2", "remove", "/own")]
    assert not list(tmp_path.rglob("*.json"))


def test_who_made_it_removes_what_all_have_in_common_when_nobody_writes_there(
    cleanup: NodeCleanup, links: FakeLinks, tmp_path: Path
) -> None:
    links.away = {"node2"}
    cleanup.record(IN_COMMON)
    cleanup.run_now(["node1", "node2"])
    assert links.asked == [("node1", "remove", "")]

    links.away = set()
    cleanup.clear(TWO, cast(Any, links.to(TWO)))
    cleanup.run_now(["node1", "node2"])
    assert links.asked[1] == ("node2", "remove", "")
    assert links.asked[2:] == [(IN_COMMON.master, "unshare as --reuid=1000", SHARED)]
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_used_anew_is_not_removed(cleanup: NodeCleanup, links: FakeLinks) -> None:
    cleanup.record(IN_COMMON)
    cleanup.keep_shared(IN_COMMON)
    cleanup.run_now(["node1", "node2"])
    assert [how for _, how, _ in links.asked] == ["remove", "remove"]


def test_who_ends_a_run_waits_once_for_what_is_stuck(
    cleanup: NodeCleanup, links: FakeLinks, tmp_path: Path
) -> None:
    links.stuck = True
    cleanup.record(IN_COMMON)
    cleanup.run_now(["node1", "node2"])
    cleanup.run_now(["node1", "node2"])
    assert [how for _, how, _ in links.asked].count("unshare as --reuid=1000") == 1
    assert [path.name for path in tmp_path.rglob("*.json")] == ["hello.3.json"]


def test_an_image_goes_after_the_runs_that_used_it_and_once(cleanup: NodeCleanup, links: FakeLinks) -> None:
    cleanup.record_image(ONE, IMAGE)
    cleanup.record(OWN)
    cleanup.run_now(["node1"])
    cleanup.run_now(["node1"])
    assert links.asked == [("node1", "remove", "/own"), ("node1", "rmi", IMAGE)]


def test_what_cannot_be_read_here_for_once_does_not_end_the_trying(tmp_path: Path, links: FakeLinks) -> None:
    once = iter([OSError(24, "Too many open files")])

    def nodes() -> tuple[Node, ...]:
        for error in once:
            raise error
        return (ONE, TWO)

    cleanup = NodeCleanup(tmp_path / "owed", cast(Links, links), nodes, 0.01)
    cleanup.record(OWN)
    cleanup.begin()
    assert links.removed.wait(5)


def test_what_is_owed_without_being_paid_is_tried_soon(cleanup: NodeCleanup, links: FakeLinks) -> None:
    Idle(cleanup)
    cleanup.record(OWN)
    cleanup.run_soon()
    assert links.removed.wait(5)
