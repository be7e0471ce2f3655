"""What is seen of runs on their nodes and told; also where words are odd, disks full, or time stood still."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from support.jobs.nodes import ONE, TWO

from units.errors import UnitError
from units.job import Outcome
from units.node_runs import watcher
from units.node_runs.tail import Ended
from units.node_runs.watcher import Watcher, look
from units.nodes import scripts
from units.nodes.allocation import Allocation, NodeShare, Seat
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.scripts import script

END = Path(scripts.__file__).with_name("shell") / "end.sh"
SHARES = (NodeShare(ONE.name, ONE.runtime, (), (Seat(1, 22000, 1, 0), Seat(2, 22001, 1, 0))),)
PLACED = Allocation("hello", 3, "/run/nap/default/hello/3", ONE.name, "openmpi5", (), SHARES)
OTHER = Allocation("ring", 1, "/run/nap/default/ring/1", ONE.name, "openmpi5", (), SHARES)
LOST = f"{PLACED.folder} 1 signal killed KILL no memory\n"


class Here:
    """A link to this machine, without being root."""

    def ask(self, argv: Sequence[str], within: float = 0) -> str:
        return subprocess.run(argv, check=True, capture_output=True).stdout.decode(errors="replace")


def seen(folder: Path) -> list[watcher.NodeFinding]:
    return look(cast(Link, Here()), ONE.name, [str(folder)])


def seen_in(said: str) -> list[watcher.NodeFinding]:
    class Said:
        def ask(self, argv: Sequence[str], within: float = 0) -> str:
            return said

    return look(cast(Link, Said()), ONE.name, [])


@pytest.mark.parametrize("words", ["50 %\r100 %", "a\fb", "a\u2028b", r"a\nb\c", r"%s \0", ""])
def test_a_slaves_last_words_are_one_finding_whatever_is_in_them(words: str, tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "1").write_text(f"signal killed KILL {words}\n")
    (found,) = seen(tmp_path)
    assert (found.slave, found.ended, found.words) == ("1", Ended("signal", "killed", "KILL"), words)


def test_a_slaves_last_words_are_kept_as_it_said_them(tmp_path: Path) -> None:
    journal = tmp_path / "bin" / "journalctl"
    journal.parent.mkdir()
    journal.write_text("""#!/bin/sh\nprintf '%s\\n' 'before' 'C:\\new\\c'\n""")
    journal.chmod(0o755)
    (tmp_path / "end").write_text(Path(END).read_text())
    env = {"PATH": f"{journal.parent}:/usr/bin:/bin", "SERVICE_RESULT": "exit-code", "EXIT_STATUS": "3"}
    subprocess.run(("sh", tmp_path / "end", "1"), env=env, check=True)
    (found,) = seen(tmp_path)
    assert (found.ended, found.words) == (Ended("exit-code", "exited", "3"), r"C:\new\c")


def test_a_slaves_end_is_kept_where_there_is_no_room_for_more(tmp_path: Path) -> None:
    """In the room that was sent with the run: what is there already is written over."""
    room = tmp_path / "1.new"
    room.write_text("\n")
    before = room.stat().st_ino
    (tmp_path / "end").write_text(Path(END).read_text())
    subprocess.run(("sh", tmp_path / "end", "1"), env={"PATH": "/usr/bin:/bin"}, check=True)
    assert (tmp_path / "lost" / "1").stat().st_ino == before
    (found,) = seen(tmp_path)
    assert found.slave == "1"


def test_a_slave_that_does_not_answer_is_told_though_nothing_is_known_of_its_end(tmp_path: Path) -> None:
    clock = tmp_path / "bin" / "date"
    clock.parent.mkdir()
    clock.write_text(f"#!/bin/sh\necho x >>{tmp_path}/clock; echo $(($(wc -l <{tmp_path}/clock) * 40))\n")
    clock.chmod(0o755)
    for slave, code in ("1", 0), ("2", 1):
        (tmp_path / "announced" / slave).mkdir(parents=True)
        (tmp_path / "announced" / slave / "check").write_text(f"exit {code}\n")
    env = {"PATH": f"{clock.parent}:/usr/bin:/bin"}
    said = subprocess.run(script("settle look", str(tmp_path)), env=env, check=True, capture_output=True)
    (found,) = seen_in(said.stdout.decode())
    assert found.outcome(PLACED) == Outcome(
        137, "the slave hello-slave2 on node1 was lost: it does not answer, "
        "and nothing is known of its end", "lost",
    )  # fmt: skip


def test_a_daemon_of_mpiruns_that_was_killed_is_told_with_its_slave(tmp_path: Path) -> None:
    (tmp_path / "daemons").write_text(
        "hello-slave1 started 7\nhello-slave2 started 8\nhello-slave1 0\nhello-slave2 137\n"
    )
    (found,) = seen(tmp_path)
    killed = "the MPI daemon on hello-slave2 on node1 was killed by signal 9 (SIGKILL)"
    assert found.outcome(PLACED) == Outcome(137, killed, "lost")


def test_a_signal_without_a_name_is_told_as_a_kill() -> None:
    assert Ended("signal", "killed", "RTMIN+5").code == 137


class Looks:
    """A watch of one node, whose looks give what `says` does, each a moment after the one before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, says: Callable[[], str]) -> None:
        self.told: list[tuple[str, str]] = []
        self.tells: Callable[[], None] = lambda: None
        self.gone: list[str] = []
        self.nodes: Callable[[], tuple[Node, ...]] = lambda: (ONE, TWO)
        self.heard = threading.Event()
        self.says = says
        self.login = ONE.login
        monkeypatch.setattr(watcher, "_BETWEEN_LOOKS", 0.01)
        links = cast(Links, self)
        self.watch = Watcher(
            links, lambda: self.nodes(), 60, self._lost, lambda node: self.gone.append(node.name)
        )

    def apart(self, _: Node) -> Looks:
        return self

    def close(self) -> None:
        pass

    def ask(self, argv: Sequence[str], within: float) -> str:
        return self.says()

    def _lost(self, run: Path, outcome: Outcome) -> None:
        self.told.append((run.name, outcome.reason))
        self.tells()
        self.heard.set()

    def hears(self) -> bool:
        return self.heard.wait(5)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterable[Looks]:
    made = Looks(monkeypatch, lambda: LOST)
    yield made
    made.watch.end(PLACED)
    made.watch.end(OTHER)


def full(times: int) -> Callable[[], None]:
    """A disk that has no room so many times."""
    left = itertools.chain([OSError(28, "No space left on device")] * times, itertools.repeat(None))

    def tell() -> None:
        if error := next(left):
            raise error

    return tell


def test_what_a_full_disk_did_not_take_is_told_again(looks: Looks) -> None:
    looks.tells = full(2)
    looks.watch.begin(Path("hello"), PLACED, there=True)
    assert looks.hears()
    killed = "the slave hello-slave1 on node1 was killed by signal 9 (SIGKILL): no memory"
    assert looks.told[:3] == [("hello", killed)] * 3


def test_what_a_full_disk_did_not_take_of_one_run_keeps_no_other_from_being_told(looks: Looks) -> None:
    begun = threading.Event()
    both = LOST + LOST.replace(PLACED.folder, OTHER.folder)
    # The first look may have begun when there was one run.
    answers = itertools.chain([""], itertools.repeat(both))
    looks.says = lambda: next(answers) if begun.wait(5) else ""
    looks.tells = full(1)
    looks.watch.begin(Path("hello"), PLACED, there=True)
    looks.watch.begin(Path("ring"), OTHER, there=True)
    begun.set()
    assert looks.hears()
    assert [run for run, _ in looks.told[:2]] == ["hello", "ring"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_nobody_thought_of_does_not_end_the_watch(looks: Looks) -> None:
    once = iter([RuntimeError("can't start new thread")])

    def nodes() -> tuple[Node, ...]:
        for error in once:
            raise error
        return (ONE, TWO)

    looks.nodes = nodes
    looks.watch.begin(Path("hello"), PLACED, there=True)
    assert looks.hears()


class Clock:
    """Time that goes on by itself only where a test lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def silent() -> str:
    raise UnitError("it does not answer")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(watcher, "time", stopped)
    return stopped


def in_turn(*steps: Callable[[], Any]) -> tuple[Callable[[], str], threading.Event]:
    """Looks that go so, one after the other, and whether all have; nothing is seen from then on."""
    done, left = threading.Event(), iter(steps)

    def says() -> str:
        step = next(left, None)
        if step is None:
            done.set()
            return ""
        return str(step() or "")

    return says, done


def test_a_receiver_that_was_frozen_gives_up_no_node_for_it(looks: Looks, clock: Clock) -> None:
    def frozen_in_between() -> None:
        clock.now += 100

    def frozen_meanwhile() -> None:
        clock.now += 100
        silent()

    looks.says, done = in_turn(frozen_in_between, silent, lambda: "", frozen_meanwhile)
    looks.watch.begin(Path("hello"), PLACED, there=True)
    assert done.wait(5)
    assert (looks.told, looks.gone) == ([], [])


def test_a_node_that_goes_on_being_silent_is_given_up(looks: Looks, clock: Clock) -> None:
    def late() -> None:
        clock.now += 31
        silent()

    looks.says, done = in_turn(late, late)
    looks.watch.begin(Path("hello"), PLACED, there=True)
    assert done.wait(5)
    assert looks.told == [("hello", "the node node1 has not answered for 60 s")]
    assert looks.gone == ["node1"]
