"""What one run, or one part of a home, does not do keeps no other part up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from receiver.daemon import lifecycle as module
from receiver.daemon.lifecycle import down
from receiver.engines.local import Local
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger
from receiver.push import hook_scripts
from units.errors import UnitError


class Runs:
    """An engine on which everything runs; `unstoppable` are the folders of runs it cannot stop, and why."""

    def __init__(self) -> None:
        self.unstoppable: dict[str, Exception] = {}
        self.stopped: list[str] = []

    def running(self, handle: Any) -> bool:
        return True

    def has_ended(self, handle: Any) -> bool:
        return False

    def stop(self, handle: Any, _outcome: Any) -> None:
        if error := self.unstoppable.get(handle.folder.name):
            raise error
        self.stopped.append(handle.folder.name)

    def clean_up(self, handle: Any) -> None:
        raise AssertionError("it runs")


@pytest.fixture
def engine() -> Runs:
    return Runs()


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Runs) -> list[str]:
    """What is said of a home with three runs, whose registry is what is stopped last."""
    ledger = Ledger(Home(tmp_path).ledger)
    ledger.add_app("hello")
    for _ in range(3):
        ledger.accept("hello", "c1", {})
    ledger.close()
    monkeypatch.setattr(Local, "open", lambda *_: engine)
    monkeypatch.setattr(module.image_registry, "stop", lambda _, say: say("registry stopped"))
    return []


@pytest.mark.parametrize("error", [UnitError("the runtime does not answer"), OSError("so it is")])
def test_a_run_that_cannot_be_stopped_keeps_nothing_else_up(
    tmp_path: Path, engine: Runs, said: list[str], error: Exception
) -> None:
    engine.unstoppable["2"] = error
    with pytest.raises(ReceiverError, match="could be stopped: hello run 2"):
        down(tmp_path, said.append)
    assert engine.stopped == ["1", "3"]
    assert said == [
        "stopped hello run 1",
        f"hello run 2 could not be stopped: {error}",
        "stopped hello run 3",
        "registry stopped",
    ]


def test_settings_that_are_wrong_are_told_before_anything_is_stopped(
    tmp_path: Path, engine: Runs, said: list[str]
) -> None:
    (tmp_path / "settings.yaml").write_text("keeep: 1\n")
    with pytest.raises(ReceiverError, match="keeep"):
        down(tmp_path, said.append)
    assert (engine.stopped, said) == ([], [])


def test_a_home_that_was_never_up_is_said_not_to_be(tmp_path: Path) -> None:
    said: list[str] = []
    down(tmp_path / "home", said.append)
    assert said == ["nap is not up"]


def test_a_home_that_is_down_already_is_said_not_to_be(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.image_registry, "stop", lambda *_: None)
    monkeypatch.setattr(module, "_stop_runs", lambda *_: None)
    down(tmp_path, said.append)
    assert said == ["nap is not up"]


class Daemon:
    """One that runs as soon as it was launched, and counts how often that was."""

    def __init__(self) -> None:
        self.runs = False
        self.launched = 0
        self.version = ""

    def pid(self) -> int | None:
        return 1 if self.runs else None

    def stop(self) -> None:
        self.runs = False

    @contextmanager
    def closed_door(self) -> Iterator[Daemon]:
        yield self

    def take(self) -> bool:
        return not self.runs

    def stop_other(self, version: str) -> bool:
        is_other, self.runs = self.runs and self.version != version, self.runs and self.version == version
        return is_other

    def launch(self, *_: object, version: str) -> int:
        self.runs, self.version = True, version
        self.launched += 1
        return 1


@pytest.mark.parametrize(
    ("before", "after", "launched"),
    [(None, "keep: 3", 2), ("keep: 3", "keep: 4", 2), ("keep: 3", None, 2), ("keep: 3", "keep: 3", 1)],
)
def test_a_receiver_whose_settings_are_others_now_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str | None, launched: int
) -> None:
    home, daemon = Home(tmp_path), Daemon()
    monkeypatch.setattr(module, "_daemon", lambda _: daemon)
    monkeypatch.setattr(module.state, "has_sockets", lambda _: True)
    for text in (before, after):
        home.settings.unlink(missing_ok=True)
        if text:
            home.settings.write_text(text)
        module._have_daemon(home, lambda _: None)
    assert daemon.launched == launched


def test_a_receiver_of_other_files_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon, said = Daemon(), list[str]()
    monkeypatch.setattr(module, "_daemon", lambda _: daemon)
    monkeypatch.setattr(module.state, "has_sockets", lambda _: True)
    for version in ("one", "one", "two"):
        monkeypatch.setattr(module.installed, "version", lambda version=version: version)
        module._have_daemon(Home(tmp_path), said.append)
    assert daemon.launched == 2
    assert "receiver stopped: it was started from other files than these" in said


def test_hooks_refuse_with_a_sentence_where_nap_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "it's gone" / "python"))
    home = Home(tmp_path)
    home.hooks.mkdir()
    hook_scripts.write(home)
    pushed = subprocess.run([home.hooks / "pre-receive"], capture_output=True, text=True, check=False)
    assert pushed.returncode == 1
    assert "nap is not where it was when it was brought up, so this push was refused" in pushed.stderr
    assert "hint: on the receiver, from where nap is now: nap up" in pushed.stderr


def test_an_engine_that_is_gone_keeps_nothing_else_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise UnitError("there is no podman any more")

    monkeypatch.setattr(Local, "open", fail)
    with pytest.raises(UnitError, match="no podman"):
        down(tmp_path, said.append)
    assert said == ["registry stopped"]
