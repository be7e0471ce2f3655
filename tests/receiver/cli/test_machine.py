"""up, down, demo: the verbs that start things, with a stand-in for what starts them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from support.receiver import FakeReceiver, serving

import receiver.daemon
from receiver.cli import demo as demo_module
from receiver.cli.group import nap
from receiver.errors import ReceiverError


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What `receiver.daemon.lifecycle` was asked for; nothing is started."""
    asked: list[tuple[object, ...]] = []

    def up(home: Path, engine: str | None, say: Callable[[str], None]) -> None:
        asked.append(("up", home, engine))
        say("receiver: running")

    def down(home: Path, say: Callable[[str], None]) -> None:
        asked.append(("down", home))
        say("receiver: stopped")

    stand_in = ModuleType("receiver.daemon.lifecycle")
    stand_in.__dict__.update(up=up, down=down)
    monkeypatch.setitem(sys.modules, "receiver.daemon.lifecycle", stand_in)
    monkeypatch.setattr(receiver.daemon, "lifecycle", stand_in, raising=False)
    monkeypatch.setenv("NAP_HOME", str(tmp_path))
    return asked


def test_up_starts_this_home_and_says_what_it_started(
    calls: list[tuple[object, ...]], tmp_path: Path
) -> None:
    assert CliRunner().invoke(nap, ["up"]).output == "receiver: running\n"
    CliRunner().invoke(nap, ["up", "--engine", "local"])
    assert calls == [("up", tmp_path, None), ("up", tmp_path, "local")]


def test_down_stops_this_home(calls: list[tuple[object, ...]], tmp_path: Path) -> None:
    assert CliRunner().invoke(nap, ["down"]).output == "receiver: stopped\n"
    assert calls == [("down", tmp_path)]


# --- demo: a fake receiver, but a real example folder, real git and a real push


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "examples" / "hello"
    (folder / "src").mkdir(parents=True)
    (folder / "mpi.xml").write_text("from: hello.c\nto: hello\nhosts: 2\n")
    (folder / "src" / "hello.c").write_text("int main(void) { return 0; }\n")
    monkeypatch.setattr(demo_module, "find_example", lambda: folder)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(tmp_path / "work"))
    return folder


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeReceiver]:
    with serving(tmp_path) as fake:
        fake.answers["GET /apps"] = []
        yield fake


def bare_repository(tmp_path: Path) -> Path:
    remote = tmp_path / "hello.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    return remote


def test_the_demo_pushes_the_example_for_real(
    calls: list[tuple[object, ...]],
    fake: FakeReceiver,
    example: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    remote = bare_repository(tmp_path)
    fake.answers["POST /apps"] = {"app": "hello", "remote": str(remote)}
    ended = CliRunner().invoke(nap, ["demo"], catch_exceptions=False)
    listed = subprocess.check_output(["git", "ls-tree", "-r", "--name-only", "master"], cwd=remote, text=True)
    assert listed.splitlines() == ["mpi.xml", "src/hello.c"]
    assert "[new branch]" in capfd.readouterr().err
    assert "$ git push nap master" in ended.output
    assert f"cd {tmp_path / 'work' / 'hello'}" in ended.output
    assert calls == [("up", tmp_path, None)]


def test_a_demo_inside_a_git_hook_uses_its_own_repository(
    calls: list[tuple[object, ...]],
    fake: FakeReceiver,
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    folder = demo_module.make_repository(example, "hello", "/nowhere")
    assert (folder / ".git" / "HEAD").read_text() == "ref: refs/heads/master\n"
    assert not (tmp_path / "elsewhere").exists()


def test_a_refused_push_ends_the_demo_with_an_error(
    calls: list[tuple[object, ...]], fake: FakeReceiver, example: Path, tmp_path: Path
) -> None:
    fake.answers["POST /apps"] = {"app": "hello", "remote": str(tmp_path / "no-such.git")}
    ended = CliRunner().invoke(nap, ["demo"])
    assert isinstance(ended.exception, ReceiverError)
    assert "git push nap master ended with" in ended.exception.message


@pytest.mark.parametrize(
    ("taken", "name"),
    [([], "hello"), (["hello"], "hello2"), (["hello", "hello2", "hello4"], "hello3")],
)
def test_the_demo_takes_the_first_name_that_is_free(
    calls: list[tuple[object, ...]], fake: FakeReceiver, taken: list[str], name: str
) -> None:
    fake.answers["GET /apps"] = [{"app": app} for app in taken]
    assert demo_module.free_name() == name


def test_without_the_clone_the_demo_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_module, "EXAMPLE", "no-such-example")
    with pytest.raises(ReceiverError, match="examples/no-such-example"):
        demo_module.find_example()
