"""Runs from outside: their ends, their turns, and what goes on when the one who pushed has gone."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from support import polling
from support.etcd import until
from support.nap_home import WITHIN, App, wait_for

from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store

pytestmark = pytest.mark.lab

NewApp = Callable[..., App]
# A program that says that it runs and goes on until somebody opens the gate.
GATED = "profile"
_GATE = "echo begun; read go < {gate}; echo and done; exit {code}\n"


class Gate:
    """A FIFO on which a program waits for as long as a test wants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def profile(self, code: int = 0) -> dict[str, str | bytes]:
        return {GATED: _GATE.format(gate=self.path, code=code)}

    def open(self) -> None:
        """Let the program that waits go on."""
        self.path.write_text("go\n")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def rest_of(push: subprocess.Popen[str]) -> str:
    """What else a push shows, up to its end."""
    assert push.stderr
    with push.stderr:
        text = push.stderr.read()
    push.wait(60)
    return text


def interrupt(push: subprocess.Popen[str]) -> None:
    """Ctrl-C at the pusher's terminal: everything in its process group hears it."""
    os.killpg(push.pid, signal.SIGINT)
    rest_of(push)


def nothing_left(app: App) -> None:
    assert app.processes() == []
    scratch = app.home.root / "scratch"
    assert not scratch.exists() or list(scratch.iterdir()) == []
    assert list(Path(app.remote).glob("objects/tmp_objdir-*")) == []
    assert app.home.json("ps") == []


# --- how a run ends ---


def test_a_runs_exit_code_is_the_pushers_to_ask_for(new_app: NewApp) -> None:
    app = new_app({"profile": "echo failing; exit 3\n"})
    ran = app.push()
    assert ran.code == 0
    assert f"run 1 of {app.name}: failed, exit 3" in ran.out
    assert app.wait() == 3
    assert app.home.nap("wait", app.name, "1").code == 3
    assert (app.runs()[0]["state"], app.runs()[0]["exit_code"]) == ("failed", 3)


def test_a_strict_push_is_refused_with_the_runs_exit_code(new_app: NewApp) -> None:
    app = new_app({"profile": "echo failing; exit 3\n"})
    ran = app.push("strict")
    assert ran.code == 1
    assert "failing" in ran.out
    assert "! [remote rejected] master -> master (run 1: exit 3)" in ran.out
    assert ran.out.count("failed, exit 3") == 1
    app.commit({"profile": "echo fine\n"})
    ran = app.push("strict")
    assert ran.code == 0
    assert ran.out.count("\nfine\n") == 1


def test_an_app_may_be_strict_always(new_app: NewApp) -> None:
    app = new_app({"profile": "exit 3\n"})
    app.home.nap("config", app.name, "strict=true")
    assert "(run 1: exit 3)" in app.push().out
    app.home.nap("config", app.name, "strict=false")
    assert app.push().code == 0


def test_a_program_that_a_signal_ends_has_128_more_and_the_signal_is_named(new_app: NewApp) -> None:
    app = new_app({"profile": "kill -SEGV $$\n"})
    assert "failed, exit 139 (as after signal 11 (SIGSEGV))" in app.push().out
    assert app.wait() == 139


def test_a_timeout_ends_a_run_with_124(new_app: NewApp) -> None:
    program = "#!/bin/sh\necho begun\nsleep 1000\n"
    app = new_app({"mpi.xml": "build: chmod +x slow\nto: slow\nhosts: 1\ntimeout: 20s\n", "slow": program})
    ran = app.push()
    assert ran.code == 0
    assert "begun" in ran.out
    assert app.wait() == 124
    run = app.runs()[0]
    assert (run["state"], run["exit_code"]) == ("timed out", 124)
    nothing_left(app)


def test_a_rank_that_dies_takes_the_run_down_with_its_exit_code(new_app: NewApp) -> None:
    source = """\
#include <mpi.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 1) exit(7);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}
"""
    app = new_app({"dies.c": source, "mpi.xml": "from: dies.c\nto: dies\nhosts: 2\n"})
    app.push()
    assert app.wait() == 7
    nothing_left(app)


def test_a_cancelled_run_has_130_and_leaves_nothing(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    push = app.start_push()
    wait_for(push.stderr, "begun")
    cancelled = app.home.nap("cancel", app.name)
    assert cancelled.code == 0
    assert "cancelled, exit 130" in cancelled.err
    assert "cancelled, exit 130" in rest_of(push)
    assert push.returncode == 0
    assert app.wait() == 130
    nothing_left(app)


def test_a_run_that_has_ended_stays_as_it_ended(new_app: NewApp) -> None:
    app = new_app({"profile": "exit 3\n"})
    app.push()
    assert app.home.nap("cancel", app.name).code == 0
    assert app.wait() == 3


def test_no_member_stays_in_etcd_after_a_run(new_app: NewApp) -> None:
    app = new_app({"mpi.xml": "build: chmod +x x\nto: x\nhosts: 2\n", "x": "#!/bin/sh\necho fine\n"})
    assert app.push().code == 0
    settings = StoreSettings.load(app.home.root / "etcd.json")
    store, folder = open_store(settings.endpoint), settings.keys.slaves(app.name)
    until(store, folder, lambda listing: not listing.entries)
    runs = until(store, settings.keys.runs(app.name), lambda listing: '"succeeded"' in str(listing.entries))
    assert list(runs.entries) == [settings.keys.run(app.name, 1)]


# --- what is recorded of it ---


def test_a_runs_record_says_who_ran_what_when_and_how(new_app: NewApp, gate: Gate) -> None:
    manifest = "build: chmod +x x\nto: x\nhosts: 3\nargs: once more\nenv: {COLOUR: red}\n"
    program = f"#!/bin/sh\n[ $(hostname | tail -c 2) != 3 ] || read go < {gate.path}\n"
    app = new_app({"mpi.xml": manifest, "x": program})
    app.git("commit", "-q", "--amend", "-m", "Sum it up\n\nand more of it")
    push = app.start_push("np=4", "args=-n 7")
    wait_for(push.stderr, "$ mpirun")
    results = app.home.nap("results", app.name)
    assert "run 1 of " in results.err
    assert "has not ended" in results.err
    until_true(lambda: app.runs()[0]["started"])
    assert app.home.json("ps")[0]["started"] == app.runs()[0]["started"]
    gate.open()
    rest_of(push)
    run = app.runs()[0]
    assert (run["who"], run["subject"]) == (getpass.getuser(), "Sum it up")
    assert (run["np"], run["hosts"], run["slots"], run["args"]) == (4, 3, [2, 1, 1], ["-n", "7"])
    assert (run["env"], run["command"]) == (["COLOUR"], ["mpirun --hostfile ../hostfile -np 4 ./x -n 7"])
    assert run["accepted"] < run["started"] < run["ended"]
    assert run["seconds"]["run"] == pytest.approx(between(run["started"], run["ended"]), abs=0.002)
    settings = StoreSettings.load(app.home.root / "etcd.json")
    store, key = open_store(settings.endpoint), settings.keys.run(app.name, 1)
    listing = until(store, settings.keys.runs(app.name), lambda told: '"succeeded"' in str(told.entries))
    assert json.loads(listing.entries[key]) == run


def until_true(ask: Callable[[], object]) -> None:
    polling.until(lambda: bool(ask()), True, WITHIN)


def between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


# --- whose turn it is ---


def test_a_second_push_waits_its_turn_and_says_so(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    first = app.start_push()
    wait_for(first.stderr, "begun")
    app.commit({GATED: "echo the second\n"})
    second = app.start_push()
    wait_for(second.stderr, f"waiting for run 1 of {app.name} to end")
    assert app.runs()[1]["state"] == "waiting"
    gate.open()
    assert "and done" in rest_of(first)
    assert "the second" in rest_of(second)
    assert [run["state"] for run in app.runs()] == ["succeeded", "succeeded"]


def test_replace_stops_the_run_before(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    first = app.start_push()
    wait_for(first.stderr, "begun")
    app.commit({GATED: "echo the second\n"})
    assert "the second" in app.push("replace").out
    assert "run 2 replaced it" in rest_of(first)
    states = [(run["state"], run["exit_code"]) for run in app.runs()]
    assert states == [("replaced", 130), ("succeeded", 0)]


def test_a_run_that_waits_can_be_cancelled(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    first = app.start_push()
    wait_for(first.stderr, "begun")
    second = app.start_push()
    wait_for(second.stderr, "waiting for run 1")
    assert app.home.nap("cancel", app.name, "2").code == 0
    assert "cancelled" in rest_of(second)
    gate.open()
    rest_of(first)
    assert [run["state"] for run in app.runs()] == ["succeeded", "cancelled"]


def test_apps_do_not_wait_for_each_other(new_app: NewApp, gate: Gate) -> None:
    slow, quick = new_app(gate.profile()), new_app({"profile": "echo quick\n"})
    push = slow.start_push()
    wait_for(push.stderr, "begun")
    assert "quick" in quick.push().out
    gate.open()
    rest_of(push)


def test_a_detached_push_comes_back_before_the_run_ends(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile(code=4))
    ran = app.push("detach")
    assert ran.code == 0
    assert f"nap logs {app.name} 1 -f" in ran.out
    assert app.runs()[0]["exit_code"] is None
    gate.open()
    assert app.wait() == 4


# --- when the pusher goes away ---


def test_ctrl_c_during_the_build_ends_the_build_and_nothing_is_recorded(new_app: NewApp, gate: Gate) -> None:
    # The line of the step is shown before it runs: it does not say what the step will.
    manifest = f"build: echo comp''iling; read go < {gate.path}\nto: x\nhosts: 1\n"
    app = new_app({"mpi.xml": manifest, "x": ""})
    push = app.start_push()
    wait_for(push.stderr, "compiling")
    interrupt(push)
    assert push.returncode != 0
    # The next push finds an app that is free, and a builder that is.
    app.commit({"mpi.xml": "build: chmod +x x\nto: x\nhosts: 1\n", "x": "#!/bin/sh\necho fine\n"})
    assert "fine" in app.push().out
    assert len(app.runs()) == 1
    nothing_left(app)


def test_ctrl_c_during_the_run_leaves_the_run_alone(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile(code=5))
    push = app.start_push()
    wait_for(push.stderr, "begun")
    interrupt(push)
    logs = app.home.start_nap("logs", app.name, "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(logs.stdout, "begun")
    gate.open()
    out, _ = logs.communicate(timeout=60)
    assert out == "and done\n"
    assert app.wait() == 5
    assert app.logs() == "begun\nand done\n"


def test_ctrl_c_while_the_slaves_start_leaves_the_run_alone(new_app: NewApp) -> None:
    program = "#!/bin/sh\necho from $(hostname)\n"
    app = new_app({"mpi.xml": "build: chmod +x who\nto: who\nhosts: 4\n", "who": program})
    push = app.start_push()
    wait_for(push.stderr, f"run 1 of {app.name}")
    interrupt(push)
    assert app.wait() == 0
    assert app.lines() == [f"from {app.name}-slave{index}" for index in range(1, 5)]


def test_ctrl_c_under_a_strict_push_leaves_the_run_alone(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    push = app.start_push("strict")
    wait_for(push.stderr, "begun")
    interrupt(push)
    gate.open()
    assert app.wait() == 0
    assert app.push("detach").code == 0
    app.home.nap("cancel", app.name)


def test_a_pusher_that_was_killed_leaves_the_run_alone(new_app: NewApp, gate: Gate) -> None:
    app = new_app(gate.profile())
    push = app.start_push()
    wait_for(push.stderr, "begun")
    push.kill()
    push.wait(60)
    gate.open()
    assert app.wait() == 0
    rest_of(push)
    assert app.logs() == "begun\nand done\n"


def test_a_pusher_that_reads_nothing_holds_no_run_up(new_app: NewApp) -> None:
    """A pipe holds 64 KB, and this program writes 8 MB."""
    app = new_app({"profile": "echo begun; seq 1000000; echo all written\n"})
    push = app.start_push()
    wait_for(push.stderr, "begun")
    os.killpg(push.pid, signal.SIGSTOP)
    assert app.wait() == 0
    os.killpg(push.pid, signal.SIGKILL)
    rest_of(push)
    lines = app.logs().splitlines()
    assert lines[0] == "begun"
    assert lines[1:-1] == [str(number) for number in range(1, 1_000_001)]
    assert lines[-1] == "all written"


def test_a_program_that_prints_bytes_gets_them_back(new_app: NewApp) -> None:
    app = new_app({"profile": "cat data\n", "data": bytes(range(256)) * 50})
    assert app.push().code == 0
    logs = app.home.start_nap("logs", app.name, stdout=subprocess.PIPE)
    assert logs.stdout
    with logs.stdout as out:
        assert out.buffer.read() == bytes(range(256)) * 50
    assert logs.wait(60) == 0


def test_logs_of_a_run_are_the_same_each_time(new_app: NewApp) -> None:
    app = new_app({"profile": "for i in 1 2 3; do echo line $i; done\n"})
    pushed = app.push()
    first, again = app.home.nap("logs", app.name), app.home.nap("logs", app.name)
    assert first == again
    for line in (first.err + first.out).splitlines():
        assert line in pushed.out
