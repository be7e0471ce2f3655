"""The daemon's side of the hooks, with the hook itself at the other end: what is refused, accepted, shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest
from support.polling import until

from receiver import repository as git
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import App, Run
from receiver.push import hook
from receiver.push.server import Hooks
from receiver.runs.changes import StoryChanges
from receiver.runs.dispatcher import Prelude
from receiver.runs.prepare import Prepared, Push
from receiver.runs.story import Story

PATIENCE = 20
_NOBODY, _ONE = "0" * 40, "1" * 40
_MASTER = f"{_NOBODY} {_ONE} refs/heads/master"
_NOTHING: Any = None
_PREPARED = Prepared("the commit", _NOTHING, _NOTHING, _NOTHING, {"build": 1.5}, is_new=True)


class Receiver:
    """The hooks' server in a thread, with all that it asks replaced: `prepare` and `accept` are a test's."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.loop = asyncio.new_event_loop()
        self.app = App("hello", {}, "")
        self.ended = Run("hello", 1, "c1", state="succeeded", exit_code=0)
        self.accepted: list[tuple[Any, ...]] = []
        self.pushed: list[Push] = []
        self.prepare: Callable[[Push, Callable[[str], None]], Any] = lambda push, say: say("compiled")
        self.accept: Callable[[], tuple[Run, int]] = lambda: (Run("hello", 1, "c1"), 0)
        context: Any = SimpleNamespace(
            home=self.home,
            changes=StoryChanges(),
            ledger=SimpleNamespace(app=lambda _: self.app, run=lambda *_: self.ended),
            store=SimpleNamespace(ping=lambda: None),
            preparer=SimpleNamespace(prepare=self._prepare),
        )
        dispatcher: Any = SimpleNamespace(accept=self._accept, has=lambda _: True)
        self.hooks = Hooks(context, dispatcher)

    def is_prepared(self) -> None:
        """As pre-receive leaves it: the hooks' parent, here this process, is git's receive-pack."""
        self.hooks._preludes[os.getpid()] = Prelude([], {}, _PREPARED)

    def _prepare(self, push: Push, say: Callable[[str], None]) -> Prepared:
        self.pushed.append(push)
        self.prepare(push, say)
        return _PREPARED

    def _accept(self, *words: Any) -> tuple[Run, int]:
        self.accepted.append(words)
        return self.accept()

    def story(self, number: int = 1) -> Story:
        return Story(self.home.run("hello", number))

    def hook(self, kind: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        with self.start(kind, **env) as process:
            out, err = process.communicate(given, timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, kind: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(hook.__file__), f"../../hooks/{kind}"], env=env, text=True,
            cwd=self.home.repository("hello"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def push(self, *options: str) -> tuple[str, str]:
        """What proc-receive tells git of master, and what post-receive shows after it."""
        received = self.hook("proc-receive", _packets(*options))
        assert received.returncode == 0, received
        return received.stdout, self.hook("post-receive", _MASTER + "\n").stderr

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        ready, loop = threading.Event(), self.loop

        async def serve() -> None:
            await self.hooks.serve(self.home.hook_socket)
            ready.set()

        def run() -> None:
            loop.run_until_complete(serve())
            loop.run_forever()

        thread = threading.Thread(target=run)
        thread.start()
        assert ready.wait(PATIENCE)
        yield
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _packets(*options: str) -> str:
    """git's side of proc-receive for a push of master."""

    def packet(line: str) -> str:
        return f"{len(line) + 4:04x}{line}"

    asked = "".join(map(packet, options))
    return f"{packet('version=1' + chr(0) + 'push-options')}0000{packet(_MASTER)}0000{asked}0000"


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    # The root of all of pytest's folders may be too long for a socket's name.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("receiver.push.server.ensure_discovery.ensure", lambda *_: None)
    made = Receiver(tmp_path)
    for folder in (made.home.hooks, made.home.repository("hello")):
        folder.mkdir(parents=True)
    with made.serving():
        yield made


def test_what_is_prepared_in_pre_receive_is_accepted_in_proc_receive(receiver: Receiver) -> None:
    checked = receiver.hook(
        "pre-receive", _MASTER + "\n", GIT_QUARANTINE_PATH="/quarantine", GIT_PUSH_OPTION_COUNT="1",
        GIT_PUSH_OPTION_0="np=8",
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "compiled\n")
    push = receiver.pushed[0]
    assert (push.commit, push.options, push.env) == (
        _ONE,
        {"np": "8"},
        {"GIT_QUARANTINE_PATH": "/quarantine"},
    )
    receiver.story().end()
    assert "ok refs/heads/master" in receiver.push("np=8")[0]
    assert receiver.accepted == [
        ("hello", "the commit", {"np": "8"}, Prelude(["compiled"], {"build": 1.5}, _PREPARED, ANY))
    ]
    assert not receiver.hooks._preludes, "what was prepared is one push's"


def test_only_objects_that_come_are_looked_at_beside_the_branch(receiver: Receiver) -> None:
    tags = f"{_NOBODY} {'2' * 40} refs/tags/v1\n{_ONE} {_NOBODY} refs/tags/v0\n"
    assert receiver.hook("pre-receive", f"{_MASTER}\n{tags}").returncode == 0
    assert receiver.pushed[0].tags == ["2" * 40]


def test_a_push_that_only_deletes_tags_prepares_nothing(receiver: Receiver) -> None:
    assert receiver.hook("pre-receive", f"{_ONE} {_NOBODY} refs/tags/v0\n").returncode == 0
    assert receiver.hook("post-receive", f"{_ONE} {_NOBODY} refs/tags/v0\n").returncode == 0
    assert (receiver.pushed, receiver.accepted) == ([], [])


def test_a_refusal_is_a_sentence_and_nothing_is_prepared_then(receiver: Receiver) -> None:
    refused = receiver.hook("pre-receive", f"{_NOBODY} {_ONE} refs/heads/work\n")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 2)
    assert refused.stderr.startswith("nap: the branch work is not deployed, master or main is\n  hint: ")
    assert not receiver.pushed


def test_what_nobody_expected_is_in_the_log_and_not_at_the_pusher(
    receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(push: Push, say: Callable[[str], None]) -> None:
        raise ZeroDivisionError("by nought")

    receiver.prepare = fail
    refused = receiver.hook("pre-receive", _MASTER + "\n")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "nap itself failed" in refused.stderr
    assert "ZeroDivisionError: by nought" in capfd.readouterr().err


def test_a_receiver_that_has_just_begun_looks_for_the_commit_itself(
    receiver: Receiver, tmp_path: Path
) -> None:
    repository = tmp_path / "repos" / "hello.git"
    repository.rmdir()
    git.create(repository)
    refused = receiver.hook("proc-receive", _packets())
    assert "1111111111 is no commit" in refused.stderr
    assert "ng refs/heads/master nap did not accept it" in refused.stdout
    assert (refused.returncode, receiver.accepted) == (0, [])


def test_a_run_that_cannot_be_accepted_is_told_to_git_in_its_own_words(receiver: Receiver) -> None:
    def fail() -> tuple[Run, int]:
        raise ReceiverError("hello is being destroyed", "once it is gone: nap create hello")

    receiver.is_prepared()
    receiver.accept = fail
    refused = receiver.hook("proc-receive", _packets())
    assert "nap: hello is being destroyed\n  hint: " in refused.stderr
    assert "ng refs/heads/master nap did not accept it" in refused.stdout
    assert refused.returncode == 0
    assert receiver.hook("post-receive", _MASTER + "\n").stderr == ""


@pytest.mark.parametrize(("code", "verdict"), [(0, "ok refs/heads/master\n"), (3, "(run 1: exit 3)")])
@pytest.mark.parametrize("how", ["an option", "the app's settings"])
def test_a_strict_push_is_answered_with_the_runs_end(
    receiver: Receiver, how: str, code: int, verdict: str
) -> None:
    receiver.is_prepared()
    if how != "an option":
        receiver.app = App("hello", {"strict": True}, "")
    receiver.ended = Run("hello", 1, "c1", state="failed" if code else "succeeded", exit_code=code)
    receiver.story().say("seen before git is answered")
    receiver.story().end()
    received = receiver.hook("proc-receive", _packets(*["strict"] * (how == "an option")))
    assert received.stderr == "seen before git is answered\n"
    assert verdict.strip("()") in received.stdout
    assert receiver.hook("post-receive", _MASTER + "\n").stderr == ""


def test_a_run_is_shown_from_where_it_was_accepted(receiver: Receiver) -> None:
    story = receiver.story()
    story.say("compiled")
    run, cursor = Run("hello", 1, "c1"), story.size()
    receiver.is_prepared()
    receiver.accept = lambda: (run, cursor)
    story.say("it runs")
    (receiver.home.run("hello", 1) / "output").write_text("half a line")
    story.say("it ended")
    story.end()
    assert receiver.push()[1] == "it runs\nhalf a line\nit ended\n"
    assert receiver.hook("post-receive", _MASTER + "\n").stderr == "", "once is enough"


def test_a_service_that_is_up_is_not_looked_on_any_longer(receiver: Receiver) -> None:
    receiver.is_prepared()
    receiver.story().say("it is up")
    receiver.story().settle()
    receiver.story().say("later")
    assert receiver.push()[1] == "it is up\n"


def test_a_detached_run_is_not_looked_on(receiver: Receiver) -> None:
    receiver.is_prepared()
    receiver.accept = lambda: (Run("hello", 4, "c1", options={"detach": ""}), 0)
    assert receiver.push("detach")[1] == "-----> run 4 of hello: nap logs hello 4 -f\n"


@pytest.mark.parametrize("how", ["the pusher is gone", "the receiver ends"])
def test_a_build_is_cancelled(receiver: Receiver, how: str) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def build(push: Push, say: Callable[[str], None]) -> None:
        begun.set()
        assert select.select([push.cancelled], [], [], PATIENCE)[0]
        cancelled.set()
        raise ReceiverError("the build was cancelled")

    receiver.prepare = build
    with receiver.start("pre-receive") as process:
        assert process.stdin
        process.stdin.write(_MASTER + "\n")
        process.stdin.close()
        assert begun.wait(PATIENCE)
        if how == "the receiver ends":
            receiver.loop.call_soon_threadsafe(receiver.hooks.give_up)
        else:
            process.kill()
        assert cancelled.wait(PATIENCE)
    until(lambda: len(receiver.hooks._builds), 0)


def test_nothing_of_a_push_is_left_once_gits_process_has_ended(receiver: Receiver, tmp_path: Path) -> None:
    quarantine, given = tmp_path / "quarantine", tmp_path / "given"
    quarantine.mkdir()
    given.write_text(_MASTER + "\n")
    pre_receive = f"{sys.executable} -I -S {hook.__file__} ../../hooks/pre-receive <{given}"
    with subprocess.Popen(
        ["sh", "-c", f"{pre_receive}; echo $?; read go"], cwd=receiver.home.repository("hello"), text=True,
        env={"GIT_QUARANTINE_PATH": str(quarantine)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as receive_pack:  # fmt: skip
        assert receive_pack.stdout
        assert receive_pack.stdout.readline() == "0\n"
        assert list(receiver.hooks._preludes) == [receive_pack.pid]
        assert quarantine.exists()
        receive_pack.communicate("go\n", timeout=PATIENCE)
    until(quarantine.exists, False)
    assert not receiver.hooks._preludes
