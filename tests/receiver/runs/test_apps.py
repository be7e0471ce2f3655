"""Apps: made whole or not at all, configured with known keys, destroyed with all they had."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from receiver import repository
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger
from receiver.names import app_name
from receiver.runs import apps


class Told:
    """Stands for the publisher: what it heard."""

    def __init__(self) -> None:
        self.destroyed: list[tuple[str, list[int]]] = []

    def gone(self, app: str, runs: list[int]) -> None:
        self.destroyed.append((app, runs))


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    home = Home(tmp_path)
    home.repository("x").parent.mkdir()
    local = SimpleNamespace(name="local", runs_images=False)
    return SimpleNamespace(home=home, ledger=Ledger(home.ledger), publisher=Told(), engine=local)


def test_an_app_is_a_repository_and_a_record(parts: Any) -> None:
    made = apps.create(parts, "hello")
    assert made == {"app": "hello", "remote": str(parts.home.repository("hello"))}
    assert (parts.home.repository("hello") / "HEAD").exists()
    assert [app.name for app in parts.ledger.apps()] == ["hello"]


def test_an_app_that_is_there_already_keeps_what_it_has(parts: Any) -> None:
    apps.create(parts, "hello")
    kept = parts.home.repository("hello") / "kept"
    kept.touch()
    with pytest.raises(ReceiverError, match="there is an app hello already"):
        apps.create(parts, "hello")
    assert kept.exists()


def test_a_repository_that_no_app_has_is_left_alone(parts: Any) -> None:
    repository = parts.home.repository("hello")
    repository.mkdir()
    (repository / "kept").touch()
    with pytest.raises(ReceiverError, match=r"hello\.git is there already, and no app"):
        apps.create(parts, "hello")
    assert (repository / "kept").exists()
    assert parts.ledger.apps() == []


def test_without_a_repository_there_is_no_record(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(repository, "create", fail)
    with pytest.raises(OSError, match="no room"):
        apps.create(parts, "hello")
    assert parts.ledger.apps() == []


@pytest.mark.parametrize(
    "name",
    ["", "../x", "A b", "a" * 31, "a" * 64, "1a", "-a", "a-", "a_b", "a.b", "ä", "a\n", "a/b", 3, None],
)
def test_a_name_that_is_no_label_is_refused(parts: Any, name: Any) -> None:
    with pytest.raises(ReceiverError, match="cannot be an app's name"):
        apps.create(parts, name)
    assert parts.ledger.apps() == []


@pytest.mark.parametrize("name", ["a", "hello", "a1", "a-b", "a" * 30])
def test_a_label_is_a_name(name: str) -> None:
    assert app_name(name) == name


def test_settings_are_checked_kept_and_taken_back(parts: Any) -> None:
    apps.create(parts, "hello")
    given = {"branch": "work/trunk", "strict": "true", "keep": "3", "port": "8080", "buildpack": "mine"}
    config = {"branch": "work/trunk", "strict": True, "keep": 3, "port": 8080, "buildpack": "mine"}
    assert apps.configure(parts, "hello", given) == config
    assert parts.ledger.app("hello").config == config
    assert apps.branches(parts.ledger.app("hello")) == ("work/trunk",)
    apps.configure(parts, "hello", {"branch": None})
    assert apps.branches(parts.ledger.app("hello")) == ("master", "main")


@pytest.mark.parametrize(
    "change",
    [
        {"branches": "x"}, {"branch": ""}, {"branch": "../x"}, {"branch": "x y"}, {"branch": "-x"},
        {"strict": "yes"}, {"keep": "0"}, {"keep": "many"}, {"port": "65536"}, {"port": "-1"},
        {"buildpack": "../x"},
    ],
)  # fmt: skip
def test_a_wrong_setting_changes_nothing(parts: Any, change: dict[str, str]) -> None:
    apps.create(parts, "hello")
    with pytest.raises(ReceiverError) as caught:
        apps.configure(parts, "hello", {"strict": "true", **change})
    assert next(iter(change)) in caught.value.message
    assert caught.value.hint
    assert parts.ledger.app("hello").config == {}


def test_a_destroyed_app_leaves_no_file(parts: Any) -> None:
    apps.create(parts, "hello")
    parts.ledger.accept("hello", "c1", {})
    for folder in (parts.home.run("hello", 1), parts.home.cache("hello")):
        folder.mkdir(parents=True)
    apps.destroy(parts, "hello")
    left = [path.name for path in parts.home.root.rglob("*") if "hello" in path.name]
    assert left == []
    assert parts.publisher.destroyed == [("hello", [1])]
    with pytest.raises(ReceiverError, match="there is no app hello"):
        apps.destroy(parts, "hello")


def test_what_a_destroy_was_cut_short_in_is_done_by_doing_it_again(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OSError("killed")

    apps.create(parts, "hello")
    with monkeypatch.context() as cut:
        cut.setattr(parts.publisher, "gone", die)
        with pytest.raises(OSError, match="killed"):
            apps.destroy(parts, "hello")
    with pytest.raises(ReceiverError, match="there is an app hello already"):
        apps.create(parts, "hello")
    apps.mend(parts)
    assert (parts.home.repository("hello") / "HEAD").exists()
    apps.destroy(parts, "hello")
    assert apps.create(parts, "hello")["app"] == "hello"
