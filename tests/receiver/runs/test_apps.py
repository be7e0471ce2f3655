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
def context(tmp_path: Path) -> Any:
    home = Home(tmp_path)
    home.repository("x").parent.mkdir()
    local = SimpleNamespace(name="local", runs_images=False)
    return SimpleNamespace(home=home, ledger=Ledger(home.ledger), publisher=Told(), engine=local)


def test_an_app_is_a_repository_and_a_record(context: Any) -> None:
    made = apps.create(context, "hello")
    assert made == {"app": "hello", "remote": str(context.home.repository("hello"))}
    assert (context.home.repository("hello") / "HEAD").exists()
    assert [app.name for app in context.ledger.apps()] == ["hello"]


def test_an_app_that_is_there_already_keeps_what_it_has(context: Any) -> None:
    apps.create(context, "hello")
    kept = context.home.repository("hello") / "kept"
    kept.touch()
    with pytest.raises(ReceiverError, match="there is an app hello already"):
        apps.create(context, "hello")
    assert kept.exists()


def test_a_repository_that_no_app_has_is_left_alone(context: Any) -> None:
    repository = context.home.repository("hello")
    repository.mkdir()
    (repository / "kept").touch()
    with pytest.raises(ReceiverError, match=r"hello\.git is there already, and no app"):
        apps.create(context, "hello")
    assert (repository / "kept").exists()
    assert context.ledger.apps() == []


def test_without_a_repository_there_is_no_record(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(repository, "create", fail)
    with pytest.raises(OSError, match="no room"):
        apps.create(context, "hello")
    assert context.ledger.apps() == []


@pytest.mark.parametrize(
    "name",
    ["", "../x", "A b", "a" * 31, "a" * 64, "1a", "-a", "a-", "a_b", "a.b", "ä", "a\n", "a/b", 3, None],
)
def test_a_name_that_is_no_label_is_refused(context: Any, name: Any) -> None:
    with pytest.raises(ReceiverError, match="cannot be an app's name"):
        apps.create(context, name)
    assert context.ledger.apps() == []


@pytest.mark.parametrize("name", ["a", "hello", "a1", "a-b", "a" * 30])
def test_a_label_is_a_name(name: str) -> None:
    assert app_name(name) == name


def test_settings_are_checked_kept_and_taken_back(context: Any) -> None:
    apps.create(context, "hello")
    given = {"branch": "work/trunk", "strict": "true", "keep": "3", "port": "8080", "buildpack": "mine"}
    config = {"branch": "work/trunk", "strict": True, "keep": 3, "port": 8080, "buildpack": "mine"}
    assert apps.configure(context, "hello", given) == config
    assert context.ledger.app("hello").config == config
    assert apps.branches(context.ledger.app("hello")) == ("work/trunk",)
    apps.configure(context, "hello", {"branch": None})
    assert apps.branches(context.ledger.app("hello")) == ("master", "main")


@pytest.mark.parametrize(
    "change",
    [
        {"branches": "x"}, {"branch": ""}, {"branch": "../x"}, {"branch": "x y"}, {"branch": "-x"},
        {"strict": "yes"}, {"keep": "0"}, {"keep": "many"}, {"port": "65536"}, {"port": "-1"},
        {"buildpack": "../x"},
    ],
)  # fmt: skip
def test_a_wrong_setting_changes_nothing(context: Any, change: dict[str, str]) -> None:
    apps.create(context, "hello")
    with pytest.raises(ReceiverError) as caught:
        apps.configure(context, "hello", {"strict": "true", **change})
    assert next(iter(change)) in caught.value.message
    assert caught.value.hint
    assert context.ledger.app("hello").config == {}


def test_a_destroyed_app_leaves_no_file(context: Any) -> None:
    apps.create(context, "hello")
    context.ledger.accept("hello", "c1", {})
    for folder in (context.home.run("hello", 1), context.home.cache("hello")):
        folder.mkdir(parents=True)
    apps.destroy(context, "hello")
    left = [path.name for path in context.home.root.rglob("*") if "hello" in path.name]
    assert left == []
    assert context.publisher.destroyed == [("hello", [1])]
    with pytest.raises(ReceiverError, match="there is no app hello"):
        apps.destroy(context, "hello")


def test_what_a_destroy_was_cut_short_in_is_done_by_doing_it_again(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise OSError("killed")

    apps.create(context, "hello")
    with monkeypatch.context() as cut:
        cut.setattr(context.publisher, "gone", die)
        with pytest.raises(OSError, match="killed"):
            apps.destroy(context, "hello")
    with pytest.raises(ReceiverError, match="there is an app hello already"):
        apps.create(context, "hello")
    apps.mend(context)
    assert (context.home.repository("hello") / "HEAD").exists()
    apps.destroy(context, "hello")
    assert apps.create(context, "hello")["app"] == "hello"
