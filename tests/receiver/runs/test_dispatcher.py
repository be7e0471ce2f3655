"""Whatever becomes of a run, the next one gets its turn, and the ledger says how it ended."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger, Run
from receiver.runs import dispatcher as module
from receiver.runs import services
from receiver.runs.cancellation import Cancellation
from receiver.runs.changes import StoryChanges
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.dispatcher import Dispatcher, Prelude
from receiver.runs.prepare import Prepared
from receiver.runs.progress import Progress
from receiver.runs.story import follow, told
from units.engine import Engine
from units.errors import UnitError
from units.job import Outcome
from units.supervisor.files import remove

PATIENCE = 20


class NothingRuns:
    """An engine without a process."""

    def stop(self, handle: Any, outcome: Outcome) -> None: ...

    def running(self, handle: Any) -> bool:
        return False

    def begin(self) -> None: ...

    def adopt(self, handle: Any) -> None: ...

    def __init__(self) -> None:
        self.cleaned: list[str] = []
        self.refusals = 0
        self.may_clean = threading.Event()
        self.may_clean.set()

    def clean_up(self, handle: Any) -> None:
        assert self.may_clean.wait(PATIENCE)
        if self.refusals:
            self.refusals -= 1
            raise UnitError("the runtime does not answer")
        self.cleaned.append(handle.folder.name)


class Deployments:
    """Stands for `Deployment`: each run does what its commit says, and is heard of when it has ended."""

    def __init__(self) -> None:
        self.does: dict[str, Callable[[Progress, Cancellation], Outcome]] = {}
        self.order: list[int] = []
        self.prepared: list[Any] = []

    def __call__(
        self, progress: Progress, context: Any, cancellation: Cancellation, prepared: Any
    ) -> Any:
        def carry_out() -> Outcome:
            if cancellation.outcome:
                return cancellation.outcome
            self.order.append(progress.run.number)
            self.prepared.append(prepared)
            return self.does.get(progress.run.commit_id, lambda *_: Outcome(0))(progress, cancellation)

        return SimpleNamespace(carry_out=carry_out)


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> Deployments:
    made = Deployments()
    monkeypatch.setattr(module, "Deployment", made)
    monkeypatch.setattr(module.pruning, "prune", lambda _: None)
    monkeypatch.setattr(module.repository, "record", lambda *_: None)
    return made


@pytest.fixture
def context(tmp_path: Path) -> Any:
    from receiver import repository

    home = Home(tmp_path)
    home.repository("x").parent.mkdir()
    repository.create(home.repository("hello"))
    quiet = SimpleNamespace(run=lambda _: None, release=lambda _: None)
    engine = NothingRuns()
    made = SimpleNamespace(home=home, ledger=Ledger(home.ledger), engine=engine, publisher=quiet)
    made.cleanup = PendingCleanup(home, cast(Engine, engine))
    made.ledger.add_app("hello")
    return made


@pytest.fixture
def dispatcher(context: Any, deployments: Deployments) -> Dispatcher:
    return Dispatcher(context)


def threads(name: str = "hello run") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def join(name: str = "hello run") -> None:
    """Also what others begin before they end."""
    while running := threads(name):
        running[0].join(PATIENCE)
        assert not running[0].is_alive(), running[0].name


def finished(context: Any, count: int) -> list[Run]:
    """All runs, once `count` of them have left their threads."""
    join()
    runs: list[Run] = context.ledger.runs("hello")
    assert len(runs) == count
    return runs


def test_runs_are_carried_out_in_their_order(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    go = threading.Event()
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    for commit in ("first", "second", "third"):
        dispatcher.accept("hello", commit, {}, Prelude())
    go.set()
    assert [run.state for run in finished(context, 3)] == ["succeeded"] * 3
    assert deployments.order == [1, 2, 3]


def test_what_was_prepared_for_a_push_serves_its_run_unless_that_had_to_wait(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    go, ready = threading.Event(), Prelude(prepared=cast(Prepared, "an image"))
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    dispatcher.accept("hello", "first", {}, ready)
    dispatcher.accept("hello", "second", {}, ready)
    go.set()
    finished(context, 2)
    assert deployments.prepared == ["an image", None]


@pytest.mark.parametrize(
    "error", [ReceiverError("so it is", "do that"), OSError("so it is"), KeyError("so it is")]
)
def test_an_error_ends_its_run_and_no_other(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, error: Exception
) -> None:
    def fail(*_: object) -> Outcome:
        raise error

    deployments.does["bad"] = fail
    dispatcher.accept("hello", "bad", {}, Prelude())
    dispatcher.accept("hello", "good", {}, Prelude())
    bad, good = finished(context, 2)
    assert (bad.state, bad.exit_code, good.state) == ("failed", 1, "succeeded")
    assert ("so it is" in bad.reason) != isinstance(error, KeyError)


def test_a_run_whose_end_cannot_be_recorded_holds_nobody_up(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recorded once there is room."""
    record, room = Progress._record_end, threading.Event()

    def full(self: Progress, outcome: Outcome) -> None:
        if self.run.number == 1 and not room.is_set():
            raise ReceiverError("the ledger cannot be written")
        record(self, outcome)

    monkeypatch.setattr(Progress, "_record_end", full)
    deployments.does["c1"] = lambda *_: Outcome(3)
    dispatcher.accept("hello", "c1", {}, Prelude())
    dispatcher.accept("hello", "c2", {}, Prelude())
    first, second = finished(context, 2)
    assert (first.has_ended, second.state) == (False, "succeeded")
    assert not dispatcher.has(first)
    room.set()
    dispatcher.cancel(first)
    first = context.ledger.run("hello", 1)
    assert (first.state, first.exit_code) == ("failed", 3)
    assert '"end": true' in (context.home.run("hello", 1) / "story").read_text()


def test_what_could_be_recorded_in_part_alone_is_not_carried_out_by_the_next_daemon(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise ReceiverError("the ledger cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(context.ledger, "update", full)
        with pytest.raises(ReceiverError, match="cannot be written"):
            dispatcher.accept("hello", "c1", {}, Prelude())
        assert [run.state for run in context.ledger.unfinished()] == ["recording"]
        assert not dispatcher.has(context.ledger.run("hello", 1))
        dispatcher._closing.drop("hello")
    Dispatcher(context).recover()
    (run,) = finished(context, 1)
    assert (run.state, run.reason) == ("failed", "nap ended before it was accepted: push it again")
    assert deployments.order == []


@pytest.mark.parametrize("step", ["commit", "seconds"])
def test_what_could_not_be_recorded_is_not_deployed_later(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError("no room")

    update = context.ledger.update

    def written(run: Run, **changes: Any) -> Run:
        return full() if step in changes else update(run, **changes)

    with monkeypatch.context() as broken:
        if step == "commit":
            broken.setattr(module.repository, "record", full)
        broken.setattr(context.ledger, "update", written)
        with pytest.raises(OSError, match="no room"):
            dispatcher.accept("hello", "c1", {}, Prelude())
    dispatcher.accept("hello", "c2", {}, Prelude())
    assert [run.state for run in finished(context, 2)] == ["failed", "succeeded"]
    assert deployments.order == [2]


def test_what_was_said_before_a_push_was_accepted_stands_first(context: Any, dispatcher: Dispatcher) -> None:
    run, cursor = dispatcher.accept("hello", "c1", {}, Prelude(["compiled", "linked"], {"build": 1.5}))
    (ended,) = finished(context, 1)
    folder = context.home.run("hello", run.number)
    assert [frame.say for frame in told(folder)][:2] == ["compiled", "linked"]
    assert cursor == len("".join((folder / "story").read_text().splitlines(keepends=True)[:2]))
    assert ended.seconds["build"] == 1.5


def until_cancelled(progress: Progress, cancellation: Cancellation) -> Outcome:
    assert select.select([cancellation.descriptor], [], [], PATIENCE)[0]
    assert cancellation.outcome
    return cancellation.outcome


def test_a_run_is_recorded_with_its_pusher_and_the_subject_of_its_commit(
    context: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.repository, "subject", lambda _, commit: f"what {commit} does")
    dispatcher.accept("hello", "c1", {}, Prelude(who="ada"))
    (run,) = finished(context, 1)
    assert (run.who, run.subject) == ("ada", "what c1 does")


@pytest.mark.parametrize("trace", ["folder", "reference"])
def test_no_number_is_given_twice_after_a_ledger_was_restored(
    context: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    if trace == "folder":
        context.home.run("hello", 7).mkdir(parents=True)
    else:
        monkeypatch.setattr(module.repository, "last_recorded", lambda _: 7)
    numbers = [dispatcher.accept("hello", "c1", {}, Prelude())[0].number for _ in range(2)]
    assert numbers == [8, 9]
    finished(context, 2)


def test_an_app_that_is_made_anew_counts_from_one(context: Any, dispatcher: Dispatcher) -> None:
    context.home.run("hello", 7).mkdir(parents=True)
    dispatcher.accept("hello", "c1", {}, Prelude())
    finished(context, 1)
    with dispatcher.closed("hello"):
        context.ledger.remove_app("hello")
        remove(context.home.runs("hello"))
    context.ledger.add_app("hello")
    assert dispatcher.accept("hello", "c1", {}, Prelude())[0].number == 1
    finished(context, 1)


@pytest.mark.parametrize(
    ("seen", "took", "ended"),
    [
        (Outcome(0, started=1000.0, ended=1018.5), 18.5, "1970-01-01T00:16:58.500+00:00"),
        (Outcome(0, ended=1018.5), 8.5, "1970-01-01T00:16:58.500+00:00"),
    ],
)
def test_a_run_took_what_its_runner_saw_and_not_what_the_receiver_did(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, seen: Outcome, took: float, ended: str
) -> None:
    run = context.ledger.accept("hello", "c1", {})
    started = "1970-01-01T00:16:50.000+00:00"
    context.ledger.update(run, state="running", started=started, seconds={"run": 0.1, "build": 2.0})
    deployments.does["c1"] = lambda *_: seen
    dispatcher.recover()
    (recorded,) = finished(context, 1)
    assert recorded.seconds == {"run": took, "build": 2.0}
    assert recorded.ended == ended


def test_of_an_end_that_nobody_saw_no_time_is_made_up(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    run = context.ledger.accept("hello", "c1", {})
    context.ledger.update(run, state="running", started="1970-01-01T00:16:50.000+00:00")
    deployments.does["c1"] = lambda *_: Outcome(137, "the machine went down", "lost")
    dispatcher.recover()
    (recorded,) = finished(context, 1)
    assert "run" not in recorded.seconds
    assert recorded.ended


def test_replace_ends_what_runs_and_what_waits(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    begun = threading.Event()

    def long(progress: Progress, cancellation: Cancellation) -> Outcome:
        begun.set()
        return until_cancelled(progress, cancellation)

    deployments.does["long"] = long
    for commit in ("long", "never"):
        dispatcher.accept("hello", commit, {}, Prelude())
    assert begun.wait(PATIENCE)
    dispatcher.accept("hello", "new", {"replace": ""}, Prelude())
    runs = finished(context, 3)
    assert [(run.state, run.exit_code) for run in runs] == [
        ("replaced", 130),
        ("replaced", 130),
        ("succeeded", 0),
    ]
    assert runs[0].reason == "run 3 replaced it"
    assert deployments.order == [1, 3]


def test_a_run_that_cannot_be_stopped_is_told_of_by_the_one_that_replaces_it(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnitError("the runtime does not answer")

    deployments.does["long"] = until_cancelled
    dispatcher.accept("hello", "long", {}, Prelude())
    monkeypatch.setattr(context.engine, "stop", fail)
    dispatcher.accept("hello", "new", {"replace": ""}, Prelude())
    assert [run.state for run in finished(context, 2)] == ["replaced", "succeeded"]
    said = [frame.say.strip() for frame in told(context.home.run("hello", 2))]
    assert "run 1 could not be stopped: the runtime does not answer" in said
    assert "to try it again: nap cancel hello 1" in said


def test_what_was_accepted_is_taken_up_by_the_next_daemon(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    context.ledger.accept("hello", "c1", {})
    context.ledger.update(context.ledger.accept("hello", "c2", {}), state="waiting")
    dispatcher.recover()
    assert [run.state for run in finished(context, 2)] == ["succeeded", "succeeded"]
    assert deployments.order == [1, 2]


@pytest.mark.parametrize(
    ("outcome", "states"),
    [
        (Outcome(137, "", "lost"), ["failed", "succeeded"]),
        (services.WENT_DOWN, ["cancelled", "succeeded"]),
        (Outcome(130, "", "cancelled"), ["cancelled"]),
        (Outcome(0, "run 2 took its place", "replaced"), ["replaced"]),
    ],
)
def test_a_service_comes_back_unless_somebody_ended_it(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, outcome: Outcome, states: list[str]
) -> None:
    release = context.ledger.release("hello", "c1", "sha256:1", "{}")
    run = context.ledger.accept("hello", "c1", {}, release.number)
    context.ledger.update(run, state="running", service=True)
    deployments.does["c1"] = lambda progress, _: outcome if progress.run.number == 1 else Outcome(0)
    dispatcher.recover()
    assert [run.state for run in finished(context, len(states))] == states


@pytest.mark.parametrize(
    ("comes_up", "states"), [(True, ["failed", "running"]), (False, ["failed", "failed", "succeeded"])]
)
def test_a_service_comes_back_unless_a_later_one_has_come_up(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, comes_up: bool, states: list[str]
) -> None:
    lost = threading.Event()

    def hear(run: Run) -> None:
        if run.number == 1 and run.has_ended:
            lost.set()

    def later(progress: Progress, cancellation: Cancellation) -> Outcome:
        # It does not come up in place of one that is still on record as being up.
        assert lost.wait(PATIENCE)
        progress.update(service=True)
        if comes_up:
            progress.up()
            return until_cancelled(progress, cancellation)
        return Outcome(1)

    release = context.ledger.release("hello", "c1", "sha256:1", "{}")
    run = context.ledger.accept("hello", "c1", {}, release.number)
    context.ledger.update(run, state="running", service=True)
    context.ledger.accept("hello", "c2", {})
    deployments.does["c1"] = lambda progress, _: Outcome(137 if progress.run.number == 1 else 0, "", "lost")
    deployments.does["c2"] = later
    context.publisher.run = hear
    dispatcher.recover()
    for number in range(1, len(states) + 1 - comes_up):
        join(f"hello run {number}")
    assert [run.state for run in context.ledger.runs("hello")] == states
    dispatcher.cancel(context.ledger.run("hello", 2))
    finished(context, len(states))


def test_a_run_leaves_its_turn_to_the_next_also_where_it_cannot_be_told_what_was_up_before(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.services, "replaced", lambda *_: 1 / 0)
    dispatcher.accept("hello", "c1", {}, Prelude())
    dispatcher.accept("hello", "c2", {}, Prelude())
    finished(context, 2)
    assert deployments.order == [1, 2]


def test_the_next_daemon_begins_the_engine_and_keeps_the_commit_of_what_was_accepted(
    context: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(context.engine, "begin", lambda: done.append("begun"))
    monkeypatch.setattr(module.repository, "record", lambda _, number, commit: done.append((number, commit)))
    context.ledger.accept("hello", "c1", {})
    context.ledger.update(context.ledger.accept("hello", "c2", {}), state="waiting")
    dispatcher.recover()
    finished(context, 2)
    assert done == ["begun", (1, "c1")]


@pytest.mark.parametrize(("service", "runs"), [(True, True), (False, False)])
def test_nothing_comes_back_but_a_service_that_went_while_no_daemon_was_there(
    context: Any,
    dispatcher: Dispatcher,
    deployments: Deployments,
    monkeypatch: pytest.MonkeyPatch,
    service: bool,
    runs: bool,
) -> None:
    release = context.ledger.release("hello", "c1", "sha256:1", "{}")
    run = context.ledger.accept("hello", "c1", {}, release.number)
    context.ledger.update(run, state="running", service=service)
    monkeypatch.setattr(context.engine, "running", lambda _: runs)
    deployments.does["c1"] = lambda *_: Outcome(137, "", "lost")
    dispatcher.recover()
    assert [run.state for run in finished(context, 1)] == ["failed"]


def test_the_receiver_does_not_wait_for_what_it_takes_up(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    context.ledger.update(context.ledger.accept("hello", "c1", {}), state="running")
    go = threading.Event()
    deployments.does["c1"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    dispatcher.recover()
    assert not context.ledger.run("hello", 1).has_ended
    go.set()
    assert [run.state for run in finished(context, 1)] == ["succeeded"]


def test_all_runs_are_taken_into_account_before_the_first_goes_on(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, going_on = threading.Event(), []
    context.ledger.accept("hello", "first", {})
    context.ledger.update(context.ledger.accept("hello", "second", {}), state="running", service=True)
    deployments.does["first"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    monkeypatch.setattr(context.engine, "adopt", lambda _: going_on.extend(threads()))
    dispatcher.recover()
    go.set()
    finished(context, 2)
    assert going_on == []


def test_a_run_that_is_cancelled_while_it_is_being_recorded_is_not_deployed(
    context: Any, dispatcher: Dispatcher, deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel(*_: object) -> None:
        dispatcher.cancel(context.ledger.run("hello", None))

    monkeypatch.setattr(module.repository, "record", cancel)
    dispatcher.accept("hello", "c1", {}, Prelude())
    assert [run.state for run in finished(context, 1)] == ["cancelled"]
    assert deployments.order == []


def test_a_run_that_can_be_heard_of_can_be_followed(
    context: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    folder = context.home.run("hello", 1)
    monkeypatch.setattr(module.repository, "record", lambda *_: there.append(folder.is_dir()))
    dispatcher.accept("hello", "c1", {}, Prelude())
    finished(context, 1)
    assert there == [True]


def test_an_app_that_is_being_destroyed_takes_no_run(context: Any, dispatcher: Dispatcher) -> None:
    with dispatcher.closed("hello"):
        with pytest.raises(ReceiverError, match="hello is being destroyed"):
            dispatcher.accept("hello", "c1", {}, Prelude())
        with pytest.raises(ReceiverError, match="is being destroyed already"), dispatcher.closed("hello"):
            raise AssertionError
    dispatcher.accept("hello", "c1", {}, Prelude())
    assert [run.state for run in finished(context, 1)] == ["succeeded"]


@pytest.mark.parametrize("error", [OSError("so it is"), RecursionError("so it is")])
def test_a_run_that_cannot_be_taken_up_keeps_the_next_daemon_from_nothing(
    context: Any, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    context.ledger.update(context.ledger.accept("hello", "c1", {}), state="running")
    context.ledger.accept("hello", "c2", {})
    monkeypatch.setattr(context.engine, "adopt", fail)
    dispatcher.recover()
    assert [run.state for run in finished(context, 2)] == ["failed", "succeeded"]


def test_the_end_is_told_before_anything_is_removed(context: Any, dispatcher: Dispatcher) -> None:
    engine: NothingRuns = context.engine
    engine.may_clean.clear()
    context.cleanup.record("hello", 1)
    run, _ = dispatcher.accept("hello", "c1", {}, Prelude())
    progress = "".join(frame.say for frame in _followed(context, run))
    assert "run 1 of hello: succeeded, exit 0" in progress
    assert (engine.cleaned, context.cleanup.recorded()) == ([], [("hello", 1)])
    engine.may_clean.set()
    join()
    assert (engine.cleaned, context.cleanup.recorded()) == (["1"], [])


def _followed(context: Any, run: Run) -> list[Any]:
    async def all_of_it() -> list[Any]:
        return [frame async for frame in follow(StoryChanges(), context.home.run(run.app, run.number))]

    return asyncio.run(asyncio.wait_for(all_of_it(), PATIENCE))


def test_what_could_not_be_removed_is_tried_again_after_the_next_run(
    context: Any, dispatcher: Dispatcher
) -> None:
    engine: NothingRuns = context.engine
    engine.refusals = 1
    for number in (1, 2):
        context.cleanup.record("hello", number)
        dispatcher.accept("hello", "c1", {}, Prelude())
        join()
    assert sorted(engine.cleaned) == ["1", "2"]
    assert context.cleanup.recorded() == []


def test_a_receiver_removes_what_an_earlier_one_did_not_and_nothing_of_what_goes_on(
    context: Any, dispatcher: Dispatcher, deployments: Deployments
) -> None:
    go, engine = threading.Event(), context.engine
    deployments.does["on"] = lambda *_: Outcome(0 if go.wait(PATIENCE) else 1)
    ended = context.ledger.accept("hello", "c1", {})
    context.ledger.update(ended, state="succeeded", exit_code=0)
    context.ledger.accept("hello", "on", {})
    for number in (1, 2):
        context.cleanup.record("hello", number)
    dispatcher.recover()
    join("cleanup")
    assert (engine.cleaned, context.cleanup.recorded()) == (["1"], [("hello", 2)])
    go.set()
    join()
    assert engine.cleaned == ["1", "2"]
