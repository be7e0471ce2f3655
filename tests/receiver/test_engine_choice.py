"""Which engine a home is up with: asked for, named by the settings, or that of last time."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import engine_choice
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_new_home_is_local(home: Home) -> None:
    assert engine_choice.current(home) == "local"
    assert engine_choice.choose(home, None, "auto").engine.name == "local"


@pytest.mark.parametrize(
    ("asked", "configured", "kept", "chosen"),
    [
        (None, "auto", "containers", "containers"),
        (None, "local", "containers", "local"),
        (None, "containers", "local", "containers"),
        ("local", "containers", "containers", "local"),
        ("containers", "auto", "local", "containers"),
    ],
)
def test_who_asks_comes_before_settings_and_these_before_last_time(
    home: Home, asked: str | None, configured: str, kept: str, chosen: str
) -> None:
    engine_choice.keep(home, kept)
    assert engine_choice.choose(home, asked, configured).engine.name == chosen


@pytest.mark.parametrize("name", engine_choice.NAMES)
def test_every_engine_of_the_table_is_called_as_its_file_is(name: str) -> None:
    assert engine_choice.support(name).engine.name == name


def test_an_unknown_engine_is_refused_with_the_ones_there_are(home: Home) -> None:
    with pytest.raises(ReceiverError, match="there is no engine 'slurm'") as refusal:
        engine_choice.choose(home, "slurm", "auto")
    assert "local or containers" in refusal.value.hint


def test_an_unknown_engine_of_the_settings_is_refused_with_their_name(home: Home) -> None:
    with pytest.raises(ReceiverError, match=r"settings\.yaml: engine is 'cloud'") as refusal:
        engine_choice.choose(home, None, "cloud")
    assert "auto, local, containers" in refusal.value.hint


def test_keeping_the_same_engine_writes_nothing(home: Home) -> None:
    engine_choice.keep(home, "containers")
    before = home.engine.stat()
    engine_choice.keep(home, "containers")
    assert home.engine.stat() == before


def test_an_engine_is_not_changed_under_what_runs_on_it(home: Home) -> None:
    engine_choice.keep(home, "local")
    ledger = Ledger(home.ledger)
    ledger.add_app("hello")
    run = ledger.accept("hello", "0" * 40, {})
    with pytest.raises(ReceiverError, match="hello run 1 has not ended on the engine local") as refusal:
        engine_choice.keep(home, "containers")
    assert "nap cancel hello 1" in refusal.value.hint
    assert engine_choice.current(home) == "local"
    ledger.update(run, state="failed", exit_code=1)
    engine_choice.keep(home, "containers")
    assert engine_choice.current(home) == "containers"
    ledger.close()
