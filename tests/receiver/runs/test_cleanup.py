"""What is left of a run is on record until it is removed, whoever does that and whatever dies meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from receiver.home.paths import Home
from receiver.runs.cleanup import PendingCleanup
from units.engine import Engine
from units.errors import UnitError

PATIENCE = 20


class Removing:
    """An engine that removes when it `may`, and notes what."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.began = threading.Event()
        self.removed: list[str] = []
        self.fails: Exception | None = None

    def clean_up(self, handle: Any) -> None:
        self.began.set()
        assert self.may.wait(PATIENCE)
        if self.fails:
            raise self.fails
        self.removed.append(handle.folder.name)


@pytest.fixture
def engine() -> Removing:
    return Removing()


def pending(root: Path, engine: Removing) -> PendingCleanup:
    """As another process of nap's would open it."""
    return PendingCleanup(Home(root), cast(Engine, engine))


def test_a_record_outlives_who_wrote_it_until_it_is_done(tmp_path: Path, engine: Removing) -> None:
    pending(tmp_path, engine).record("my-app", 3)
    assert pending(tmp_path, engine).recorded() == [("my-app", 3)]
    pending(tmp_path, engine).run("my-app", 3)
    assert (engine.removed, pending(tmp_path, engine).recorded()) == (["3"], [])
    pending(tmp_path, engine).run("my-app", 3)
    assert engine.removed == ["3"]


def test_records_of_one_app_are_no_other_apps(tmp_path: Path, engine: Removing) -> None:
    for app, number in (("a", 1), ("a", 12), ("a-b", 2)):
        pending(tmp_path, engine).record(app, number)
    assert pending(tmp_path, engine).recorded("a") == [("a", 1), ("a", 12)]


def test_who_comes_second_waits_until_it_is_removed(tmp_path: Path, engine: Removing) -> None:
    engine.may.clear()
    pending(tmp_path, engine).record("a", 1)
    first = threading.Thread(target=pending(tmp_path, engine).run, args=("a", 1))
    first.start()
    assert engine.began.wait(PATIENCE)
    seen: list[list[str]] = []

    def second() -> None:
        pending(tmp_path, engine).run("a", 1)
        seen.append(list(engine.removed))

    waiting = threading.Thread(target=second)
    waiting.start()
    assert seen == []
    engine.may.set()
    for thread in (first, waiting):
        thread.join(PATIENCE)
    assert seen[0][0] == "1"


@pytest.mark.parametrize("error", [UnitError("the runtime does not answer"), OSError("so it is")])
def test_what_cannot_be_removed_stays_on_record_and_holds_up_no_other(
    tmp_path: Path, engine: Removing, error: Exception
) -> None:
    here, said = pending(tmp_path, engine), list[str]()
    for number in (1, 2):
        here.record("a", number)
    engine.fails = error
    here.run_each(here.recorded(), said.append)
    assert said == [f"what is left of a run {number} is removed later: {error}" for number in (1, 2)]
    assert here.recorded() == [("a", 1), ("a", 2)]
    engine.fails = None
    here.run_each(here.take_failed(), said.append)
    assert (here.recorded(), here.take_failed()) == ([], set())
