"""How runs on nodes are begun and ended: nothing of them is forgotten, also where nothing can be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from support.jobs.nodes import JOBS, ONE, SITE, TWO
from support.nodes.fake_links import OWN, FakeLink, FakeLinks, Idle

from units.errors import UnitError
from units.job import Handle, Outcome
from units.node_runs import diagnosis
from units.node_runs.pending_cleanup import NodeCleanup
from units.node_runs.tail import Ended
from units.node_runs.tools import NodeTiming, Tools
from units.nodes.allocation import Seat
from units.nodes.allocator import Allocator, Reservation
from units.nodes.announce import Etcd
from units.nodes.link import Done, Links
from units.nodes.node import Node
from units.nodes.pull import Registry
from units.oci import container
from units.oci.runtime import Runtime
from units.placement.place import Policy
from units.systemd.engine import SystemdEngine

JOB = replace(JOBS["two-nodes"], slaves=JOBS["two-nodes"].slaves[:2])
OVER = Outcome(1, "it is over")
UNITS = ("slaves_hello@.service", "master_hello.service")
SHARES = tuple(
    replace(share, units=UNITS, seats=(Seat(index, 22000, 1, 0),))
    for index, share in enumerate(OWN.shares, 1)
)
PLACED = replace(OWN, results=("*",), shares=SHARES)
NAME = f"{JOB.app}.{JOB.run}.json"


class Nodes(FakeLinks):
    """Nodes that do all they are asked, and `asked` tells which; what is installed where is in there too.

    `silent` is how often a node leaves the question unanswered what has become of its slaves, `said` what
    it answers after that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.silent: dict[str, float] = {}
        self.said: dict[str, str] = {}

    def every(self, nodes: Iterable[Node], step: Callable[[Node, Any], Any]) -> dict[str, Any]:
        return {node.name: step(node, self.to(node)) for node in nodes}

    def to(self, node: Node) -> FakeLink:
        return Willing(self, node.name)

    apart = to


class Willing(FakeLink):
    def close(self) -> None:
        pass

    def run(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> Done:
        if "-c" not in argv:
            return super().run(argv, given, within)
        words = argv[argv.index("-c") + 2 :]
        self._links.asked.append((self._node, *words[:2]))
        return Done(0, b"", "")

    def ask(self, argv: tuple[str, ...], given: bytes = b"", within: float = 0) -> str:
        if "settle look notes" not in argv:
            return super().ask(argv, given, within)
        if self._links.silent.get(self._node, 0):
            self._links.silent[self._node] -= 1
            raise UnitError("it does not answer")
        return self._links.said.get(self._node, "")


class Receiver:
    """The engine of a home, and the folder of a run that is placed on both nodes."""

    def __init__(self, home: Path) -> None:
        nodes = (ONE, TWO)
        self.links = Nodes()
        self.owed = home / "owed"
        links = cast(Links, self.links)
        self.places = Allocator(lambda: nodes, Policy.PACK, 22000)
        self.cleanup = NodeCleanup(self.owed, links, lambda: nodes, 60)
        self.engine = SystemdEngine(
            SITE,
            Tools(
                links, lambda: nodes, lambda: Etcd("https://receiver:2379", "v3"),
                lambda: Registry(lambda image: image, "receiver:5000"),
                Runtime("podman", "/usr/bin/podman", rootless=False, uid=1000), NodeTiming(), self.places,
                self.cleanup, "amd64",
            ),
        )  # fmt: skip
        self.run = home / JOB.app / str(JOB.run)
        self.run.mkdir(parents=True)
        self.handle = Handle(self.run)

    def removed(self) -> list[str]:
        return [node for node, what, _ in self.links.asked if what == "remove"]

    def end(self) -> None:
        """As the receiver does it: what is left is removed whatever could not be written."""
        try:
            self.engine.stop(self.handle, OVER)
        finally:
            self.engine.clean_up(self.handle)

    def begin(self) -> None:
        """The run is there; its slots are taken."""
        self.handle.output.touch()
        PLACED.write(self.run)
        (self.run / "sent").touch()
        self.places.hold(str(self.run), Reservation.of(PLACED, 0))


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    monkeypatch.setattr(container, "image_says", lambda *_: ((), ""))
    return Receiver(tmp_path)


def test_room_for_a_runs_end_is_kept_from_its_begin_on(receiver: Receiver) -> None:
    receiver.engine.submit(JOB, receiver.run)
    kept = [receiver.run / "exit.new", *(receiver.owed / node.name / f"{NAME}.new" for node in (ONE, TWO))]
    assert [path.stat().st_size for path in kept] == [4096] * 3
    receiver.end()
    assert receiver.engine.outcome(receiver.handle) == OVER
    assert [path for path in receiver.owed.rglob("*") if path.is_file()] == []


def test_how_a_run_ended_is_on_the_disk_before_anybody_sees_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    receiver.begin()
    receiver.engine.stop(receiver.handle, OVER)
    assert (receiver.run / "exit").stat().st_ino in synced


@pytest.mark.parametrize("full", ["exit.new", "remarks"])
def test_a_run_is_taken_off_its_nodes_whatever_cannot_be_written_here(full: str, receiver: Receiver) -> None:
    receiver.begin()
    assert len(receiver.engine.uses()) == 2
    (receiver.run / full).mkdir()
    with suppress(OSError):
        receiver.end()
    assert receiver.removed() == ["node1", "node2"]
    assert receiver.engine.uses() == []


def test_slots_are_free_again_also_where_it_cannot_be_written_what_is_owed(receiver: Receiver) -> None:
    receiver.begin()
    receiver.owed.touch()
    with pytest.raises(OSError, match="owed"):
        receiver.end()
    assert receiver.engine.uses() == []


def test_the_end_is_there_to_be_told_before_anything_is_removed(receiver: Receiver) -> None:
    receiver.begin()
    receiver.engine.stop(receiver.handle, OVER)
    assert receiver.engine.outcome(receiver.handle) == OVER
    assert receiver.removed() == []
    assert sorted(path.parent.name for path in receiver.owed.rglob(NAME)) == ["node1", "node2"]
    receiver.engine.clean_up(receiver.handle)
    assert receiver.removed() == ["node1", "node2"]
    assert receiver.engine.uses() == []


def test_a_node_that_does_not_let_go_of_a_run_is_named_once(receiver: Receiver) -> None:
    receiver.begin()
    receiver.links.away = {"node2"}
    receiver.engine.stop(receiver.handle, OVER)
    with pytest.raises(UnitError, match="on node2: "):
        receiver.engine.clean_up(receiver.handle)
    receiver.engine.clean_up(receiver.handle)
    assert receiver.engine.uses() == []


def test_a_run_that_is_lost_ends_also_where_its_log_cannot_be_written(receiver: Receiver) -> None:
    receiver.begin()
    receiver.handle.log.mkdir()
    with pytest.raises(IsADirectoryError):
        receiver.engine._lost(receiver.run, OVER)
    assert receiver.engine.outcome(receiver.handle) == OVER


# What the node says of its slave 2: it was killed.
KILLED = "/run/nap/default/hello/3 2 exit-code killed KILL its last words\n"
LOST = "the slave hello-slave2 on node2 was killed by signal 9 (SIGKILL): its last words"
SILENT = "the node node2 does not answer: it does not answer"


@pytest.mark.parametrize(
    ("silent", "said", "patience", "reason"),
    [
        ({}, {}, 1, None),
        ({"node2": 2}, {}, 1, None),
        ({"node2": 2}, {"node2": KILLED}, 1, LOST),
        ({"node2": 2}, {"node2": KILLED}, 0, SILENT),
        ({"node2": float("inf")}, {}, 1, SILENT),
        ({"node1": float("inf")}, {"node2": KILLED}, 1, LOST),
    ],
)
def test_a_success_is_believed_once_all_nodes_have_said_that_their_slaves_are_there(
    monkeypatch: pytest.MonkeyPatch,
    silent: dict[str, float], said: dict[str, str], patience: float, reason: str | None,
) -> None:  # fmt: skip
    monkeypatch.setattr("units.node_runs.diagnosis._ASKED_AGAIN", 0.01)
    links = Nodes()
    links.silent, links.said = dict(silent), said
    found = diagnosis.Diagnosis(cast(Links, links), (ONE, TWO), PLACED, patience, lambda: False).lost_slave()
    assert (found.reason if found else None) == reason


WELL, KILLED_ONE = (
    Ended("success", "exited", "0"),
    "the MPI daemon on hello-slave2 on node2 was killed by signal 9",
)


@pytest.mark.parametrize(
    ("notes", "ended", "code", "reason"),
    [
        ("", WELL, 0, ""),
        ("hello-slave1 started 7\nhello-slave1 0", WELL, 0, ""),
        ("hello-slave2 started 7\nhello-slave2 137", WELL, 137, f"{KILLED_ONE} (SIGKILL)"),
        (
            "hello-slave2 started 7",
            WELL,
            137,
            "the MPI daemon on hello-slave2 on node2 did not end when mpirun did",
        ),
        ("hello-slave2 255", WELL, 137, "sshd on hello-slave2 on node2 ended, or cannot be reached any more"),
        ("hello-slave2 1", Ended("exit-code", "exited", "3"), 3, ""),
        ("", Ended("exit-code", "exited", "125", words="no such image"), 125, "no such image"),
        ("", Ended("signal", "killed", "KILL"), 137, "its unit on node1 was killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_run_ended_well_if_mpirun_and_all_its_daemons_say_so(
    notes: str, ended: Ended, code: int, reason: str, tmp_path: Path
) -> None:
    links = Nodes()
    links.said = {"node1": "".join(f"+ {note}\n" for note in notes.splitlines())}
    (tmp_path / "output").touch()
    inquiry = diagnosis.Diagnosis(cast(Links, links), (ONE, TWO), PLACED, 1, lambda: False)
    found = inquiry.outcome(ended, str(tmp_path / "output"))
    assert (found.exit_code, found.reason) == (code, reason)


def test_a_run_that_is_sent_anew_is_nowhere_else_before(receiver: Receiver) -> None:
    PLACED.write(receiver.run)
    receiver.engine.adopt(receiver.handle)
    locked = replace(JOB, slaves=(replace(JOB.slaves[0], node="node1"),))
    receiver.engine.submit(locked, receiver.run)
    asked = [(node, what) for node, what, _ in receiver.links.asked]
    assert sorted(asked[:2]) == [("node1", "remove"), ("node2", "remove")]
    assert asked[2:] == [("node1", "install")]
    receiver.end()


def test_what_a_killed_receiver_had_sent_is_removed_also_where_the_run_does_not_come_back_to(
    receiver: Receiver,
) -> None:
    PLACED.write(receiver.run)
    Idle(receiver.cleanup)
    receiver.engine.adopt(receiver.handle)
    assert receiver.links.removed.wait(5)


def test_an_image_that_nobody_needs_goes_from_a_node_that_was_away_once_it_is_back(
    receiver: Receiver,
) -> None:
    receiver.links.away = {"node2"}
    receiver.engine.forget(JOB.image)
    assert receiver.links.asked == [("node1", "rmi", JOB.image)]
    receiver.links.away = set()
    receiver.cleanup.clear(TWO, cast(Any, receiver.links.to(TWO)))
    assert receiver.links.asked[1:] == [("node2", "rmi", JOB.image)]


def test_a_node_that_is_known_to_be_away_is_not_asked_to_remove_an_image(receiver: Receiver) -> None:
    receiver.cleanup.mark_away(TWO)
    receiver.engine.forget(JOB.image)
    assert receiver.links.asked == [("node1", "rmi", JOB.image)]
