"""The hooks: what the script in the repository and the daemon say to each other, and what is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.push import hook
from receiver.push.protocol import Update
from receiver.push.server import only_deploy

PATIENCE = 20
_NOBODY = "0" * 40
_ONE = "1" * 40


def frame(kind: bytes, body: bytes) -> bytes:
    return b"%s%08d%s" % (kind, len(body), body)


def packet(line: bytes) -> bytes:
    return b"%04x%s" % (len(line) + 4, line)


@dataclass
class FakeDaemon:
    """Answers one hook with `frames`; `heard` is what the hook said."""

    folder: Path
    frames: bytes = b""
    heard: bytes = b""
    closes: bool = True
    done: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # a hook that never called
        with connection:
            while not self.heard.endswith(b"\n\n"):
                self.heard += connection.recv(65536)
            connection.sendall(self.frames)
            if not self.closes:
                self.done.wait(PATIENCE)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    for folder in ("hooks", "repos/hello.git"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    fake = FakeDaemon(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("hook.sock")
        listener.listen()
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=fake.serve, args=(listener,), daemon=True)
        thread.start()
        yield fake
        fake.done.set()


def run_hook(
    daemon: FakeDaemon, kind: str, given: bytes = b"", **env: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(hook.__file__), f"../../hooks/{kind}"],
        cwd=daemon.folder / "repos" / "hello.git", input=given, capture_output=True, timeout=PATIENCE,
        env={"PATH": os.environ["PATH"], **env}, check=False,
    )  # fmt: skip


def test_the_daemon_hears_the_whole_push_and_says_how_it_ends(daemon: FakeDaemon) -> None:
    daemon.frames = frame(b"o", b"a line\n") + frame(b"o", b"") + frame(b"x", b"0")
    ran = run_hook(
        daemon, "pre-receive", f"{_NOBODY} {_ONE} refs/heads/master\n".encode(),
        GIT_PUSH_OPTION_COUNT="2", GIT_PUSH_OPTION_0="np=8", GIT_PUSH_OPTION_1="args=a b",
        GIT_QUARANTINE_PATH="/q", SECRET="s",
    )  # fmt: skip
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, b"a line\n", b"")
    assert daemon.heard.decode().splitlines() == [
        "hook pre-receive", f"repository {daemon.folder}/repos/hello.git", "env GIT_QUARANTINE_PATH=/q",
        "option np=8", "option args=a b", f"update {_NOBODY} {_ONE} refs/heads/master", "",
    ]  # fmt: skip


def test_a_refusal_is_the_hooks_exit_code(daemon: FakeDaemon) -> None:
    daemon.frames = frame(b"o", b"nap: no\n") + frame(b"x", b"1")
    ran = run_hook(daemon, "pre-receive")
    assert (ran.returncode, ran.stderr) == (1, b"nap: no\n")


def test_proc_receive_speaks_gits_protocol(daemon: FakeDaemon) -> None:
    daemon.frames = frame(b"r", b"ok refs/heads/master\n") + frame(b"x", b"0")
    update = f"{_NOBODY} {_ONE} refs/heads/master\n".encode()
    given = packet(b"version=1\0push-options atomic\n") + b"0000"
    given += packet(update) + b"0000" + packet(b"strict") + b"0000"
    ran = run_hook(daemon, "proc-receive", given)
    assert ran.returncode == 0
    assert ran.stdout == (
        packet(b"version=1\0push-options\n") + b"0000" + packet(b"ok refs/heads/master\n") + b"0000"
    )
    assert b"option strict\n" in daemon.heard


def test_a_text_that_is_no_utf8_arrives_as_it_was(daemon: FakeDaemon) -> None:
    daemon.frames = frame(b"x", b"1")
    run_hook(daemon, "pre-receive", GIT_PUSH_OPTION_COUNT="1", GIT_PUSH_OPTION_0="n\udcffp")
    assert b"option n\xffp\n" in daemon.heard


def test_a_daemon_that_goes_away_ends_the_push(daemon: FakeDaemon) -> None:
    daemon.frames = frame(b"o", b"a line\n")
    ran = run_hook(daemon, "pre-receive")
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"a line\nnap: the receiver went away")


def test_without_a_daemon_the_hint_is_to_start_it(daemon: FakeDaemon) -> None:
    (daemon.folder / "hook.sock").unlink()
    ran = run_hook(daemon, "pre-receive")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (1, 2)
    assert b"nap is not running" in ran.stderr
    assert b"nap up" in ran.stderr


def test_a_daemon_that_says_nothing_for_long_is_taken_for_gone(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    daemon.closes = False
    monkeypatch.chdir(daemon.folder / "repos" / "hello.git")
    monkeypatch.setattr(hook, "SILENT_AFTER", 0.05)
    monkeypatch.setattr(hook, "_read_all", lambda _: b"")
    assert hook.main("../../hooks/pre-receive") == 1
    assert "the receiver went away" in capfd.readouterr().err


@pytest.mark.parametrize(("kind", "code"), [("pre-receive", 3), ("post-receive", 1)])
def test_without_a_reader_there_is_still_an_answer_for_git(daemon: FakeDaemon, kind: str, code: int) -> None:
    daemon.frames = frame(b"o", b"a line\n") * 3 + frame(b"x", b"3")
    nobody_reads, writes = os.pipe()
    os.close(nobody_reads)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(hook.__file__), f"../../hooks/{kind}"],
        cwd=daemon.folder / "repos" / "hello.git", stdin=subprocess.DEVNULL, stderr=writes,
    )  # fmt: skip
    os.close(writes)
    assert process.wait(PATIENCE) == code


def test_a_reader_that_does_not_read_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reads, writes = os.pipe()
    kept = os.dup(2)
    monkeypatch.setattr(hook, "GONE_AFTER", 10)
    try:
        os.dup2(writes, 2)
        assert hook._show(bytes(1 << 20)) is False
    finally:
        os.dup2(kept, 2)
        for descriptor in (kept, reads, writes):
            os.close(descriptor)


def test_a_hook_loads_next_to_nothing() -> None:
    """It is started three times a push."""
    loaded = f"exec(open({hook.__file__!r}).read(), {{'__name__': 'hook'}}); import sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", loaded],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert not {"socket", "json", "subprocess", "pathlib", "http", "re"} & set(ran.stdout.split())


@pytest.mark.parametrize(
    ("update", "sentence"),
    [
        (Update(_NOBODY, _ONE, "refs/heads/work"), "the branch work is not deployed, master or main is"),
        (Update(_NOBODY, _ONE, f"refs/heads/{'x' * 60_000}"), r"the branch x{100}\.\.\. is not deployed"),
        (Update(_NOBODY, _ONE, "refs/notes/x"), "the ref refs/notes/x is not deployed"),
        (Update(_ONE, _NOBODY, "refs/heads/master"), "the branch master cannot be deleted here"),
        (Update(_ONE, _NOBODY, "refs/notes/x"), "the ref refs/notes/x cannot be deleted here"),
    ],
)
def test_what_is_no_deployment_is_refused_with_its_name(update: Update, sentence: str) -> None:
    for updates in ([update], [Update(_NOBODY, _ONE, "refs/heads/master"), update]):
        with pytest.raises(ReceiverError, match=sentence):
            only_deploy("hello", updates, ("master", "main"))


def test_tags_come_along_with_a_branch_and_are_deleted_alone() -> None:
    master, tag = Update(_NOBODY, _ONE, "refs/heads/master"), Update(_NOBODY, _ONE, "refs/tags/v1")
    gone = Update(_ONE, _NOBODY, "refs/tags/v0")
    assert only_deploy("hello", [tag, master, gone], ("master", "main")) == master
    assert only_deploy("hello", [gone, gone], ("master", "main")) is None


def test_a_tag_alone_is_refused_with_what_deploys_it() -> None:
    tags = [Update(_ONE, _NOBODY, "refs/tags/v0"), Update(_NOBODY, _ONE, "refs/tags/v1")]
    with pytest.raises(ReceiverError, match="the tag v1 is not deployed, trunk is") as caught:
        only_deploy("hello", tags, ("trunk",))
    assert caught.value.hint == "git push nap v1:refs/heads/trunk"


def test_one_deploy_branch_is_taken_and_two_are_not() -> None:
    master = Update(_NOBODY, _ONE, "refs/heads/master")
    assert only_deploy("hello", [master], ("master", "main")) == master
    with pytest.raises(ReceiverError, match="one branch is deployed at a time"):
        only_deploy("hello", [master, Update(_NOBODY, _ONE, "refs/heads/main")], ("master", "main"))
