"""Many who look on at once, and a kernel that wakes nobody."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.nap_home import ROOT, WITHIN, App, NapHome, wait_for
from support.polling import inotify_instances

pytestmark = pytest.mark.lab

NewApp = Callable[..., App]
# More than a user has inotify instances on most machines.
FOLLOWERS = 150


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@contextmanager
def follower(home: NapHome, app: str) -> Iterator[socket.socket]:
    """What `nap logs -f` asks for, without a process for each."""
    folder = os.open(home.root, os.O_PATH)  # a path of any length fits through it
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        connection.connect(f"/proc/self/fd/{folder}/nap.sock")
        os.close(folder)
        request = (
            f"GET /apps/{app}/runs/latest/log?follow=1 HTTP/1.1\r\nHost: nap\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode())
        yield connection


def heard(connection: socket.socket, text: bytes) -> bytes:
    """Read until `text` has come; everything that did."""
    data = b""
    while text not in data:
        more = connection.recv(1 << 16)
        assert more, data
        data += more
    return data


def test_many_followers_see_all_of_it_and_are_in_nobodys_way(new_app: NewApp, gate: Path) -> None:
    seen = new_app({"profile": f"echo begun; read go < {gate}; exit 3\n"})
    push = seen.start_push()
    wait_for(push.stderr, "begun")
    with ExitStack() as connections:
        followers = [connections.enter_context(follower(seen.home, seen.name)) for _ in range(FOLLOWERS)]
        for connection in followers:
            heard(connection, b'"output"')
        assert inotify_instances(seen.home.daemon()) == 1
        ran = new_app({"profile": "echo somebody else\n"}).push("strict")
        assert ran.code == 0, ran.out
        assert "somebody else" in ran.out
        gate.write_text("go\n")
        for connection in followers:
            assert b'"exit_code": 3' in heard(connection, b'"end"')
    assert "failed, exit 3" in push.communicate(timeout=WITHIN)[1]


def test_lines_come_without_inotify(own_home: NapHome, gate: Path, tmp_path: Path) -> None:
    """In a user namespace of its own the receiver has as few instances as the test gives it."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Ur", "true"], check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    none = f"echo 0 > /proc/sys/user/max_inotify_instances && exec {sys.executable} -m receiver up"
    up = own_home.run("unshare", "-Ur", "sh", "-c", none, cwd=ROOT)
    assert up.code == 0, up
    app = own_home.app("blind", tmp_path / "tree", {"profile": f"echo begun; read go < {gate}; exit 3\n"})
    push = app.start_push("strict")
    wait_for(push.stderr, "begun")
    assert inotify_instances(own_home.daemon()) == 0
    gate.write_text("go\n")
    told = push.communicate(timeout=WITHIN)[1]
    assert "failed, exit 3" in told
    assert app.wait() == 3
