"""A run that is taken up goes on where it was, and of one that cannot go on nothing is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildpacks.plan import Plan, Process, to_json
from buildpacks.stacks.stack import Stack
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger, Run
from receiver.runs import deployment as module
from receiver.runs.cancellation import Cancellation
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.deployment import Deployment
from receiver.runs.prepare import Prepared
from receiver.runs.progress import Progress
from receiver.runs.services import stop_older
from receiver.runs.story import told
from registry.errors import RegistryError
from registry.images.trees import Image
from units.engine import Engine
from units.errors import UnitError
from units.job import Outcome

PLAN = Plan(built_by="", run_by="profile", stack="plain", processes=(Process("web", "serve"),))


class Running:
    """An engine on which every run has units until it is stopped; `stopped` is how."""

    makes_room = False

    def __init__(self) -> None:
        self.waited = 0
        self.stopped: dict[str, Outcome] = {}
        self.unstoppable: set[str] = set()
        self.kept: list[str] = []

    def running(self, handle: Any) -> bool:
        return handle.folder.name not in self.stopped

    def wait(self, handle: Any, seconds: float | None) -> bool:
        self.waited += 1
        return True

    def place(self, job: Any, *_: object) -> Any:
        return job

    def stop(self, handle: Any, outcome: Outcome) -> None:
        if handle.folder.name in self.unstoppable:
            raise UnitError("the runtime does not answer")
        self.stopped[handle.folder.name] = outcome

    def results(self, handle: Any) -> tuple[()]:
        self.kept.append(handle.folder.name)
        return ()

    def outcome(self, handle: Any) -> Outcome:
        return Outcome(0)


class AtOnce:
    """Stands for a thread: it has done its work before `start` returns."""

    def __init__(self, target: Any, args: tuple[Any, ...], daemon: bool) -> None:
        self.start = lambda: target(*args)


class Away:
    """A builder whose registry does not answer."""

    def find(self, *_: object) -> None:
        raise RegistryError("the registry cannot be reached")

    stack = environment = find


@pytest.fixture
def context(tmp_path: Path) -> Any:
    home = Home(tmp_path)
    made = SimpleNamespace(
        home=home,
        ledger=Ledger(home.ledger),
        engine=Running(),
        cleanup=PendingCleanup(home, cast(Engine, Running())),
        builder=Away(),
        publisher=SimpleNamespace(run=lambda _: None),
        runnable=Away().find,
    )
    made.ledger.add_app("hello")
    made.ledger.release("hello", "c1", "sha256:1", to_json(PLAN))
    return made


def begun(context: Any, state: str) -> Progress:
    """A run of the app's release, as an earlier receiver left it."""
    run: Run = context.ledger.update(context.ledger.accept("hello", "c1", {}, 1), state=state, service=True)
    folder = context.home.run(run.app, run.number)
    return Progress(run, folder, context.ledger, context.publisher, lambda _: None)


def test_a_run_whose_program_was_started_needs_nothing_but_its_end(context: Any) -> None:
    assert Deployment(begun(context, "running"), context, Cancellation()).carry_out() == Outcome(0)
    assert context.engine.waited == 1


def test_a_run_that_is_gone_is_not_waited_for(context: Any) -> None:
    context.engine.stopped["1"] = Outcome(0)
    assert Deployment(begun(context, "running"), context, Cancellation()).carry_out() == Outcome(0)
    assert context.engine.waited == 0


def test_a_run_that_cannot_be_taken_up_is_stopped(context: Any) -> None:
    with pytest.raises(RegistryError, match="cannot be reached"):
        Deployment(begun(context, "starting"), context, Cancellation()).carry_out()
    assert "1" in context.engine.stopped


def test_what_a_run_has_left_is_kept_and_told_also_where_it_cannot_be_stopped(context: Any) -> None:
    progress = begun(context, "running")
    context.engine.unstoppable.add("1")
    folder = context.home.run("hello", 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "remarks").write_text("a file was left out\n")
    with pytest.raises(UnitError, match="the runtime does not answer"):
        Deployment(progress, context, Cancellation()).carry_out()
    assert context.engine.kept == ["1"]
    assert "a file was left out" in [frame.say.strip() for frame in told(folder)]


@pytest.mark.parametrize("state", ["accepted", "starting", "running"])
def test_a_run_that_is_cancelled_before_it_is_taken_up_is_stopped(context: Any, state: str) -> None:
    cancellation = Cancellation()
    cancellation.cancel(Outcome(130, "", "cancelled"))
    Deployment(begun(context, state), context, cancellation).carry_out()
    assert context.engine.stopped == {"1": Outcome(130, "", "cancelled")}
    assert context.engine.waited == 0


def test_a_service_that_cannot_be_stopped_does_not_take_the_next_one_down(context: Any) -> None:
    begun(context, "running"), begun(context, "running")
    context.engine.unstoppable.add("1")
    third = begun(context, "running")
    stop_older(third, context)
    assert context.engine.stopped == {"2": Outcome(0, "run 3 took its place", "replaced")}
    said = [frame.say.strip() for frame in told(context.home.run("hello", 3))]
    assert "run 1 could not be stopped: the runtime does not answer" in said


def test_a_service_that_is_taken_up_stops_the_older_one_that_is_still_there(context: Any) -> None:
    begun(context, "running")
    Deployment(begun(context, "running"), context, Cancellation()).carry_out()
    assert context.engine.stopped["1"] == Outcome(0, "run 2 took its place", "replaced")


@pytest.mark.parametrize(
    ("digest", "is_new", "names"),
    [("sha256:1", False, []), ("sha256:1", True, [1]), ("sha256:2", False, [2])],
)
def test_an_image_gets_the_name_of_its_release_when_either_is_new(
    context: Any, monkeypatch: pytest.MonkeyPatch, digest: str, is_new: bool, names: list[int]
) -> None:
    monkeypatch.setattr(module.threading, "Thread", AtOnce)
    named: list[int] = []
    context.builder.released = lambda _app, number, _image: named.append(number)
    context.publisher.release = lambda _: None
    progress = begun(context, "accepted")
    progress.update(release=None)
    stack = Stack("plain", "", "plain", "machine")
    prepared = Prepared("c1", PLAN, Image(digest), stack, {}, is_new)
    with pytest.raises(RegistryError, match="cannot be reached"):
        Deployment(progress, context, Cancellation(), prepared).carry_out()
    assert named == names
