"""`nap` as a process: what it imports, signals, and a reader that leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from support.receiver import RUN, FakeReceiver, Stream, frame, serving

ROOT = Path(__file__).parents[3]
SLOW = ("asyncio", "etcd", "etcd3gw", "fabric", "git", "jinja2", "starlette", "uvicorn", "yaml")
STATUS = 'import sys; from receiver.__main__ import main; sys.argv = ["nap", "status"]; main()'
LIST_IMPORTS = """
import sys
from receiver.__main__ import main
sys.argv = ["nap", *sys.argv[1:]]
try:
    main()
except SystemExit:
    print("imported", *sys.modules)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeReceiver]:
    with serving(tmp_path) as receiver:
        yield receiver


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "NAP_HOME": str(home), "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("arguments", [["--help"], ["ps"], ["create", "hello"]])
def test_the_command_starts_without_a_slow_import(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-c", LIST_IMPORTS, *arguments]
    shown = subprocess.check_output(command, env=environment(tmp_path), stderr=subprocess.DEVNULL, text=True)
    imported = shown.splitlines()[-1].split()
    assert imported[0] == "imported"
    assert not set(SLOW) & set(imported)


def test_help_does_not_import_the_client(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIST_IMPORTS, "--help"]
    shown = subprocess.check_output(command, env=environment(tmp_path), text=True)
    assert "http.client" not in shown.splitlines()[-1].split()


def start_nap(home: Path, *arguments: str, stdout: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "receiver", *arguments]
    return subprocess.Popen(
        command, env=environment(home), stdout=stdout, stderr=subprocess.PIPE, text=True,
        preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def _hears_ctrl_c() -> None:
    """What a shell starts in the background ignores it, these tests and their children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_the_run_running_and_says_how_to_pick_it_up(fake: FakeReceiver) -> None:
    over = Event()
    fake.answers["POST /apps/hello/runs"] = RUN
    fake.answers["GET /apps/hello/runs/3/log?follow=up"] = Stream(
        frame(story="running"), then=lambda: over.wait(60), cut=True
    )
    with start_nap(fake.home, "run", "hello", stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    over.set()
    assert process.returncode == 130
    assert told == "\nrun 3 goes on; see it: nap logs hello 3 -f, stop it: nap cancel hello 3\n"
    assert all("cancel" not in request for request, _ in fake.asked)


def test_ctrl_c_while_waiting_shows_nothing_ugly(fake: FakeReceiver) -> None:
    asked, over = Event(), Event()
    fake.answers["GET /apps/hello/runs/latest"] = RUN
    fake.answers["GET /apps/hello/runs/3/wait"] = Stream(
        b"\n", then=lambda: (asked.set(), over.wait(60)), cut=True
    )
    with start_nap(fake.home, "wait", "hello", stdout=subprocess.DEVNULL) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        told = process.communicate()[1]
    over.set()
    assert (process.returncode, told.strip()) == (130, "")


def test_a_reader_that_leaves_ends_nap_quietly(fake: FakeReceiver) -> None:
    fake.answers["GET /apps"] = [{"app": "hello", "remote": "/r" * 100_000, "release": None, "state": None}]
    reading, writing = os.pipe()
    os.close(reading)
    with start_nap(fake.home, "apps", stdout=writing) as process:
        os.close(writing)
        told = process.communicate()[1]
    assert (process.returncode, told) == (1, "")


def test_a_home_that_cannot_be_told_is_said_to_be(tmp_path: Path) -> None:
    """A relative one, from a folder that has been removed."""
    (tmp_path / "gone").mkdir()
    command = f"cd gone; rmdir ../gone; exec {sys.executable} -c '{STATUS}'"
    env = environment(Path("relative"))
    told = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("nap: nap's home cannot be told")
    assert "hint: set NAP_HOME" in told.stderr
    assert "Traceback" not in told.stderr
