"""Whatever becomes of a run, the next one gets its turn, and the ledger says how it ended."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from receiver import dispatcher as module
from receiver import serving
from receiver.dispatcher import Dispatcher, Prelude
from receiver.errors import ReceiverError
from receiver.ledger import Ledger, Run
from receiver.paths import Home
from receiver.prepare import Prepared
from receiver.progress import Progress
from receiver.story import told
from receiver.ticket import Ticket
from units.errors import UnitError
from units.job import Outcome

PATIENCE = 20


class NothingRuns:
    """An engine without a process."""

    def stop(self, handle: Any, outcome: Outcome) -> None: ...

    def running(self, handle: Any) -> bool:
        return False

    def begin(self) -> None: ...

    def adopt(self, handle: Any) -> None: ...


class Deployments:
    """Stands for `deploy`: each run does what its commit says, and is heard of when it has ended."""

    def __init__(self) -> None:
        self.does: dict[str, Callable[[Progress, Ticket], Outcome]] = {}
        self.order: list[int] = []
        self.prepared: list[Any] = []

    def __call__(self, progress: Progress, parts: Any, ticket: Ticket, prepared: Any) -> Outcome:
        if ticket.outcome:
            return ticket.outcome
        self.order.append(progress.run.number)
        self.prepared.append(prepared)
        return self.does.get(progress.run.commit_id, lambda *_: Outcome(0))(progress, ticket)


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> Deployments:
    made = Deployments()
    monkeypatch.setattr(module, "deploy", made)
    monkeypatch.setattr(module.pruning, "prune", lambda _: None)
    monkeypatch.setattr(module.git, "record", lambda *_: None)
    return made


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    from receiver import git

    home = Home(tmp_path)
    home.repository("x").parent.mkdir()
    git.create(home.repository("hello"))
    quiet = SimpleNamespace(run=lambda _: None, release=lambda _: None)
    made = SimpleNamespace(home=home, ledger=Ledger(home.ledger), engine=NothingRuns(), publisher=quiet)
    made.ledger.add_app("hello")
    return made


@pytest.fixture
def dispatcher(parts: Any, deployments: Deployments) -> Dispatcher:
    return Dispatcher(parts)


def threads(name: str = "hello run") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def join(name: str = "hello run") -> None:
    """Also what others begin before they end."""
    while running := threads(name):
        running[0].join(PATIENCE)
        assert not running[0].is_alive(), running[0].name


def finished(parts: Any, count: int) -> list[Run]:
    """All runs, once `count` of them have left their threads."""
    join()
    runs: list[Run] = parts.ledger.runs("hello")
    assert len(runs) == count
    return runs


def test_runs_are_carried_out_in_their_order(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    go = threading.Event()
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    for commit in ("first", "second", "third"):
        dispatcher.accept("hello", commit, {}, Prelude())
    go.set()
    assert [run.state for run in finished(parts, 3)] == ["succeeded"] * 3
    assert deployments.order == [1, 2, 3]


def test_what_was_prepared_for_a_push_serves_its_run_unless_that_had_to_wait(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    go, ready = threading.Event(), Prelude(prepared=cast(Prepared, "an image"))
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    dispatcher.accept("hello", "first", {}, ready)
    dispatcher.accept("hello", "second", {}, ready)
    go.set()
    finished(parts, 2)
    assert deployments.prepared == ["an image", None]


@pytest.mark.parametrize(
    "error", [ReceiverError("so it is", "do that"), OSError("so it is"), KeyError("so it is")]
)
def test_an_error_ends_its_run_and_no_other(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, error: Exception
) -> None:
    def fail(*_: object) -> Outcome:
        raise error

    deployments.does["bad"] = fail
    dispatcher.accept("hello", "bad", {}, Prelude())
    dispatcher.accept("hello", "good", {}, Prelude())
    bad, good = finished(parts, 2)
    assert (bad.state, bad.exit_code, good.state) == ("failed", 1, "succeeded")
    assert ("so it is" in bad.reason) != isinstance(error, KeyError)


def test_a_run_whose_end_cannot_be_recorded_holds_nobody_up(
    parts: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Progress.finish

    def full(self: Progress, outcome: Outcome) -> None:
        if self.run.number == 1:
            raise ReceiverError("the ledger cannot be written")
        finish(self, outcome)

    monkeypatch.setattr(Progress, "finish", full)
    dispatcher.accept("hello", "c1", {}, Prelude())
    dispatcher.accept("hello", "c2", {}, Prelude())
    first, second = finished(parts, 2)
    assert (first.ended, second.state) == (False, "succeeded")


@pytest.mark.parametrize("step", ["commit", "seconds"])
def test_what_could_not_be_recorded_is_not_deployed_later(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError("no room")

    update = parts.ledger.update

    def written(run: Run, **changes: Any) -> Run:
        return full() if step in changes else update(run, **changes)

    with monkeypatch.context() as broken:
        if step == "commit":
            broken.setattr(module.git, "record", full)
        broken.setattr(parts.ledger, "update", written)
        with pytest.raises(OSError, match="no room"):
            dispatcher.accept("hello", "c1", {}, Prelude())
    dispatcher.accept("hello", "c2", {}, Prelude())
    assert [run.state for run in finished(parts, 2)] == ["failed", "succeeded"]
    assert deployments.order == [2]


def test_what_was_said_before_a_push_was_accepted_stands_first(parts: Any, dispatcher: Dispatcher) -> None:
    run, cursor = dispatcher.accept("hello", "c1", {}, Prelude(["compiled", "linked"], {"build": 1.5}))
    (ended,) = finished(parts, 1)
    folder = parts.home.run("hello", run.number)
    assert [frame.say for frame in told(folder)][:2] == ["compiled", "linked"]
    assert cursor == len("".join((folder / "story").read_text().splitlines(keepends=True)[:2]))
    assert ended.seconds["build"] == 1.5


def until_cancelled(progress: Progress, ticket: Ticket) -> Outcome:
    assert select.select([ticket.descriptor], [], [], PATIENCE)[0]
    assert ticket.outcome
    return ticket.outcome


def test_replace_ends_what_runs_and_what_waits(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    begun = threading.Event()

    def long(progress: Progress, ticket: Ticket) -> Outcome:
        begun.set()
        return until_cancelled(progress, ticket)

    deployments.does["long"] = long
    for commit in ("long", "never"):
        dispatcher.accept("hello", commit, {}, Prelude())
    assert begun.wait(PATIENCE)
    dispatcher.accept("hello", "new", {"replace": ""}, Prelude())
    runs = finished(parts, 3)
    assert [(run.state, run.exit_code) for run in runs] == [
        ("replaced", 130),
        ("replaced", 130),
        ("succeeded", 0),
    ]
    assert runs[0].reason == "run 3 replaced it"
    assert deployments.order == [1, 3]


def test_a_run_that_cannot_be_stopped_is_told_of_by_the_one_that_replaces_it(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnitError("the runtime does not answer")

    deployments.does["long"] = until_cancelled
    dispatcher.accept("hello", "long", {}, Prelude())
    monkeypatch.setattr(parts.engine, "stop", fail)
    dispatcher.accept("hello", "new", {"replace": ""}, Prelude())
    assert [run.state for run in finished(parts, 2)] == ["replaced", "succeeded"]
    said = [frame.say.strip() for frame in told(parts.home.run("hello", 2))]
    assert "run 1 could not be stopped: the runtime does not answer" in said
    assert "to try it again: nap cancel hello 1" in said


def test_what_was_accepted_is_taken_up_by_the_next_daemon(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    parts.ledger.accept("hello", "c1", {})
    parts.ledger.update(parts.ledger.accept("hello", "c2", {}), state="waiting")
    dispatcher.recover()
    assert [run.state for run in finished(parts, 2)] == ["succeeded", "succeeded"]
    assert deployments.order == [1, 2]


@pytest.mark.parametrize(
    ("outcome", "states"),
    [
        (Outcome(137, "", "lost"), ["failed", "succeeded"]),
        (serving.WENT_DOWN, ["cancelled", "succeeded"]),
        (Outcome(130, "", "cancelled"), ["cancelled"]),
        (Outcome(0, "run 2 took its place", "replaced"), ["replaced"]),
    ],
)
def test_a_service_comes_back_unless_somebody_ended_it(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, outcome: Outcome, states: list[str]
) -> None:
    release = parts.ledger.release("hello", "c1", "sha256:1", "{}")
    run = parts.ledger.accept("hello", "c1", {}, release.number)
    parts.ledger.update(run, state="running", service=True)
    deployments.does["c1"] = lambda progress, _: outcome if progress.run.number == 1 else Outcome(0)
    dispatcher.recover()
    assert [run.state for run in finished(parts, len(states))] == states


@pytest.mark.parametrize(
    ("comes_up", "states"), [(True, ["failed", "running"]), (False, ["failed", "failed", "succeeded"])]
)
def test_a_service_comes_back_unless_a_later_one_has_come_up(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, comes_up: bool, states: list[str]
) -> None:
    lost = threading.Event()

    def hear(run: Run) -> None:
        if run.number == 1 and run.ended:
            lost.set()

    def later(progress: Progress, ticket: Ticket) -> Outcome:
        # It does not come up in place of one that is still on record as being up.
        assert lost.wait(PATIENCE)
        progress.update(service=True)
        if comes_up:
            progress.up()
            return until_cancelled(progress, ticket)
        return Outcome(1)

    release = parts.ledger.release("hello", "c1", "sha256:1", "{}")
    run = parts.ledger.accept("hello", "c1", {}, release.number)
    parts.ledger.update(run, state="running", service=True)
    parts.ledger.accept("hello", "c2", {})
    deployments.does["c1"] = lambda progress, _: Outcome(137 if progress.run.number == 1 else 0, "", "lost")
    deployments.does["c2"] = later
    parts.publisher.run = hear
    dispatcher.recover()
    for number in range(1, len(states) + 1 - comes_up):
        join(f"hello run {number}")
    assert [run.state for run in parts.ledger.runs("hello")] == states
    dispatcher.cancel(parts.ledger.run("hello", 2))
    finished(parts, len(states))


def test_the_receiver_does_not_wait_for_what_it_takes_up(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    parts.ledger.update(parts.ledger.accept("hello", "c1", {}), state="running")
    go = threading.Event()
    deployments.does["c1"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    dispatcher.recover()
    assert not parts.ledger.run("hello", 1).ended
    go.set()
    assert [run.state for run in finished(parts, 1)] == ["succeeded"]


def test_all_runs_are_taken_into_account_before_the_first_goes_on(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, going_on = threading.Event(), []
    parts.ledger.accept("hello", "first", {})
    parts.ledger.update(parts.ledger.accept("hello", "second", {}), state="running", service=True)
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    monkeypatch.setattr(parts.engine, "adopt", lambda _: going_on.extend(threads()))
    dispatcher.recover()
    go.set()
    finished(parts, 2)
    assert going_on == []


def test_a_run_that_is_cancelled_while_it_is_being_recorded_is_not_deployed(
    parts: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module.git, "record", lambda *_: dispatcher.cancel(parts.ledger.run("hello", None))
    )
    dispatcher.accept("hello", "c1", {}, Prelude())
    assert [run.state for run in finished(parts, 1)] == ["cancelled"]
    assert deployments.order == []


def test_a_run_that_can_be_heard_of_can_be_followed(
    parts: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    monkeypatch.setattr(
        module.git, "record", lambda *_: there.append(parts.home.run("hello", 1).is_dir())
    )
    dispatcher.accept("hello", "c1", {}, Prelude())
    finished(parts, 1)
    assert there == [True]


def test_an_app_that_is_being_destroyed_takes_no_run(parts: Any, dispatcher: Dispatcher) -> None:
    with dispatcher.closed("hello"):
        with pytest.raises(ReceiverError, match="hello is being destroyed"):
            dispatcher.accept("hello", "c1", {}, Prelude())
        with pytest.raises(ReceiverError, match="is being destroyed already"), dispatcher.closed("hello"):
            raise AssertionError
    dispatcher.accept("hello", "c1", {}, Prelude())
    assert [run.state for run in finished(parts, 1)] == ["succeeded"]


@pytest.mark.parametrize("error", [OSError("so it is"), RecursionError("so it is")])
def test_a_run_that_cannot_be_taken_up_keeps_the_next_daemon_from_nothing(
    parts: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    parts.ledger.update(parts.ledger.accept("hello", "c1", {}), state="running")
    parts.ledger.accept("hello", "c2", {})
    monkeypatch.setattr(parts.engine, "adopt", fail)
    dispatcher.recover()
    assert [run.state for run in finished(parts, 2)] == ["failed", "succeeded"]
