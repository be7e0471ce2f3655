"""Services from outside: a profile with `web:` stays up, through crashes, pushes and nap's own absence."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nap_home import App, NapHome, wait_for, wait_until_up

pytestmark = pytest.mark.lab

NewApp = Callable[..., App]
# Answers with its word; `/crash` ends it.
SERVER = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(9)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"WORD")
    def log_message(self, *_):
        pass
print("WORD starts on", os.environ["PORT"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def service(word: str) -> dict[str, str | bytes]:
    return {"profile": "web: python3 server.py\n", "server.py": SERVER.replace("WORD", word)}


def port(app: App) -> int:
    return int(app.home.json("config", app.name)["port"])


def answer(app: App, path: str = "/") -> str:
    """What the service says; empty when it says nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port(app)}{path}", timeout=10) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def is_taken(number: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) == 0


@pytest.fixture
def web(new_app: NewApp) -> App:
    app = new_app(service("first"))
    ran = app.push()
    assert ran.code == 0, ran.out
    assert f"http://127.0.0.1:{port(app)}" in ran.out
    return app


@pytest.fixture
def lone_web(own_home: NapHome, tmp_path: Path) -> App:
    """A service in a home of its own, whose daemon may be hurt."""
    own_home.up()
    app = own_home.app("web", tmp_path / "tree", service("first"))
    assert app.push().code == 0
    return app


def test_a_service_answers_and_stays_up(web: App) -> None:
    assert answer(web) == "first"
    run = web.runs()[0]
    assert (run["state"], run["exit_code"], run["service"]) == ("running", None, True)
    units = web.home.json("ps")[0]["units"]
    assert [unit["state"] for unit in units] == ["alive"]


def test_a_service_ends_when_it_is_cancelled(web: App) -> None:
    taken = port(web)
    assert web.home.nap("cancel", web.name).code == 0
    assert not is_taken(taken)
    assert web.wait() == 130
    assert web.home.json("ps") == []


def test_cancel_ends_the_service_that_was_just_pushed_and_names_it(web: App, tmp_path: Path) -> None:
    """It does not answer yet, since it waits at a gate."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    web.commit({"profile": f"web: echo waits; read go < {gate}\n"})
    push = web.start_push()
    wait_for(push.stderr, "waits")
    cancelled = web.home.nap("cancel", web.name)
    assert cancelled.code == 0
    assert cancelled.err.startswith(f"{web.name} run 2: cancelled, exit 130")
    push.communicate(timeout=60)
    assert web.runs()[1]["state"] == "cancelled"
    assert f"/runs/{web.name}/2" not in "".join(web.processes())


def test_the_next_push_takes_the_services_place(web: App) -> None:
    before = port(web)
    web.commit(service("second"))
    ran = web.push()
    assert ran.code == 0, ran.out
    assert "stopping run 1, which was up with v1" in ran.out
    assert (answer(web), port(web)) == ("second", before)
    web.wait("1")
    assert [(run["state"], run["exit_code"]) for run in web.runs()] == [("replaced", 0), ("running", None)]


def test_a_crash_is_mended_and_logged(web: App) -> None:
    logs = web.home.start_nap("logs", web.name, "-f", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for(logs.stdout, "first starts on")
    answer(web, "/crash")
    wait_for(logs.stdout, "ended with 9; starting it again in 1 s")
    wait_for(logs.stdout, "first starts on")
    logs.kill()
    logs.communicate()
    assert web.runs()[-1]["state"] == "running"


@pytest.mark.slow
def test_a_service_that_does_not_answer_brings_the_old_one_back(own_home: NapHome, tmp_path: Path) -> None:
    own_home.up()
    app = own_home.app("web", tmp_path / "tree", service("first"))
    assert app.push().code == 0
    # Within it the old one has to answer again, too.
    own_home.settings("answer_timeout: 10\n")
    own_home.up()
    app.commit({"profile": "web: sleep 1000\n"})
    ran = app.push("strict")
    assert ran.code == 1
    assert f"did not answer on port {port(app)} within 10 s" in ran.out
    assert "(run 2: exit 1)" in ran.out
    assert "-----> v1, which was up before, comes back" in ran.out
    wait_until_up(app, 3)
    assert answer(app) == "first"
    states = [(run["state"], run["release"]) for run in app.runs()]
    assert states == [("replaced", 1), ("failed", 2), ("running", 1)]


@pytest.mark.slow
def test_a_service_that_crashes_at_once_is_no_success(own_home: NapHome, tmp_path: Path) -> None:
    own_home.settings("answer_timeout: 2\n")
    own_home.up()
    app = own_home.app("web", tmp_path / "tree", {"profile": "web: exit 5\n"})
    ran = app.push("strict")
    assert ran.code == 1
    assert "ended with 5; starting it again" in ran.out
    crashed = r"within 2 s; web-web ended with 5, \d+ times? so far; its output says why\)"
    assert re.search(crashed, ran.out), ran.out
    assert app.runs()[0]["state"] == "failed"
    assert own_home.json("ps") == []


def test_a_port_that_another_program_has_is_refused(new_app: NewApp) -> None:
    app = new_app(service("first"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        app.home.nap("config", app.name, f"port={number}")
        ran = app.push("strict")
    assert ran.code == 1
    assert f"port {number} of 127.0.0.1" in ran.out
    assert "is taken by another program" in ran.out
    assert app.push().code == 0
    assert answer(app) == "first"


def test_a_service_comes_back_with_nap(lone_web: App) -> None:
    taken = port(lone_web)
    lone_web.home.down()
    assert not is_taken(taken)
    lone_web.home.up()
    wait_until_up(lone_web, 2)
    assert answer(lone_web) == "first"
    assert [run["state"] for run in lone_web.runs()] == ["cancelled", "running"]


def test_a_service_outlives_the_daemon_and_is_adopted(lone_web: App) -> None:
    home = lone_web.home
    pid = home.json("ps")[0]["units"][0]["pid"]
    home.kill_daemon()
    number = port_of_ledger(home)
    with urllib.request.urlopen(f"http://127.0.0.1:{number}/", timeout=10) as response:
        assert response.read() == b"first"
    home.up()
    assert home.json("ps")[0]["units"][0]["pid"] == pid
    assert [run["state"] for run in lone_web.runs()] == ["running"]
    lone_web.commit(service("second"))
    assert lone_web.push().code == 0
    assert answer(lone_web) == "second"


def port_of_ledger(home: NapHome) -> int:
    """The app's port while nobody can be asked."""
    with sqlite3.connect(home.root / "ledger.db") as ledger:
        return int(json.loads(ledger.execute("SELECT config FROM app").fetchone()[0])["port"])


def test_a_service_that_died_with_the_daemon_is_started_again(lone_web: App) -> None:
    home = lone_web.home
    pid = home.json("ps")[0]["units"][0]["pid"]
    home.kill_daemon()
    # The capsule's first process is the service's parent: all of it goes with that one.
    runner = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    watch = os.pidfd_open(pid)
    os.kill(runner, signal.SIGKILL)
    assert select.select([watch], [], [], 30)[0]
    os.close(watch)
    home.up()
    wait_until_up(lone_web, 2)
    assert answer(lone_web) == "first"
    assert [run["state"] for run in lone_web.runs()] == ["failed", "running"]


def test_a_service_is_waited_for_only_until_it_is_up(web: App) -> None:
    assert web.push("strict").code == 0
    assert answer(web) == "first"


def test_a_destroyed_service_is_gone(new_app: NewApp) -> None:
    app = new_app(service("first"))
    app.push()
    taken = port(app)
    assert app.home.nap("destroy", app.name, "--yes").code == 0
    assert not is_taken(taken)
    assert not Path(app.remote).exists()
