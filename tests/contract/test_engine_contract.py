"""What a push comes to on every engine, whatever its units are: the same tests, by real pushes on each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.engines import ContainersEngine, FleetEngine, LocalEngine, NodesEngine
from support.fleet.cluster import Cluster
from support.installed import other_nap
from support.nap_home import App, NapHome, wait_for
from support.nodes.node import Node
from support.services import ask, asked_all_the_time, service, where

from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

NewApp = Callable[..., App]
# The first slave's rank waits until somebody writes into its pipe; then there is much to be said. It is not a
# rank that fails: Open MPI would drop what of its output is on its way.
GATED: dict[str, str | bytes] = {
    "mpi.xml": "run: mpirun sh program && exit 6\nhosts: 2\n",
    "program": """\
case $(hostname) in *-slave1) ;; *) exit 0 ;; esac
mkfifo "$NAP_SHARE/gate"; echo begun; read go <"$NAP_SHARE/gate"; seq 20000; echo and done
""",
}
LINES = ["begun", *map(str, range(1, 20_001)), "and done"]
RESULTS = """\
mkdir out; hostname >'out/two words'; hostname >'out/two\nlines'
hostname >"$NAP_SHARE/$(hostname).txt"; hostname >"$NAP_APP/own.txt"
"""
# On the second slave there is no such file.
ONE_APP: dict[str, str | bytes] = {
    "mpi.xml": "run: sh script\nhosts: 2\nresults: '*.txt'\n",
    "script": """\
echo by the script >script.txt
mpirun sh program || exit
for rank in "$NAP_APP"/*-slave?.txt; do echo "the script reads: $(cat "$rank")"; done
echo after >>script.txt
""",
    "program": """\
[ ! -e script.txt ] || echo "$(hostname) reads: $(cat script.txt)"
hostname >"$(hostname).txt"
""",
}


def script(text: str, more: str = "") -> dict[str, str | bytes]:
    """A program of ranks that are no MPI's, one on each of two slaves."""
    manifest = f"build: chmod +x program\nto: program\nhosts: 2\n{more}"
    return {"mpi.xml": manifest, "program": f"#!/bin/sh\n{text}"}


def said(app: App, run: int) -> list[str]:
    """The run's lines but for what mpirun says of an exit code that is not 0."""
    known = set(LINES)
    return [line for line in app.logs(str(run)).splitlines() if line in known]


class Run:
    """One whose first rank has begun and waits."""

    def __init__(self, on: Any, app: App | None = None) -> None:
        self.on = on
        self.app: App = app or on.new_app(GATED)
        self.push = self.app.start_push()
        wait_for(self.push.stderr, "begun")

    def open_gate(self, run: int = 1) -> None:
        self.on.open_gate(self.app, run)

    def end(self) -> str:
        """What the pusher is told from here on."""
        return str(self.push.communicate(timeout=100)[1])


@contextmanager
def other_command(home: NapHome, command: tuple[str, ...]) -> Iterator[None]:
    """Meanwhile another nap serves the home."""
    home.command = command
    try:
        yield
    finally:
        home.command = NapHome.command


class RanksContract:
    """`on` is one of `engines_lab`."""

    def test_there_are_as_many_slaves_and_ranks_as_were_asked_for(self, on: Any) -> None:
        # A PATH of its own leads to nothing: the slaves and mpirun are none of the program's business.
        app = on.new_app(script("hostname\n", "env: {PATH: /nonexistent, ENV: /nonexistent}\n"))
        pushed = app.push("hosts=3", "strict")
        assert pushed.code == 0, pushed.out
        assert app.lines() == [f"{app.name}-slave{index}" for index in (1, 2, 3)]
        again = app.push("np=4", "slots=2", "strict")
        assert "built before" in again.out
        assert app.lines() == sorted([f"{app.name}-slave{index}" for index in (1, 2)] * 2)

    def test_a_ranks_exit_code_is_the_runs(self, on: Any) -> None:
        app = on.new_app(script("exit 3\n"))
        assert "(run 1: exit 3)" in app.push("strict").out
        assert app.wait() == 3
        assert on.left(app) == []

    def test_a_run_that_takes_too_long_ends_with_124(self, on: Any) -> None:
        app = on.new_app(script("sleep 1000\n", "timeout: 1s\n"))
        pushed = app.push("strict")
        assert "it took longer than its timeout of 1 s" in pushed.out
        assert app.wait() == 124
        assert on.left(app) == []

    def test_a_cancelled_run_ends_with_130_and_can_be_run_again(self, on: Any) -> None:
        run = Run(on)
        app = run.app
        assert {unit["state"] for unit in app.home.json("ps")[0]["units"]} == {"alive"}
        assert app.home.nap("cancel", app.name).code == 0
        run.end()
        assert app.wait() == 130
        assert on.left(app) == []
        again = app.home.start_nap("run", app.name, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        wait_for(again.stdout, "begun")
        run.open_gate(2)
        again.communicate(timeout=100)
        assert said(app, 2) == LINES
        assert [(entry["release"], entry["exit_code"]) for entry in app.runs()] == [(1, 130), (1, 6)]

    def test_a_run_goes_on_without_the_receiver_and_ends_with_its_whole_output(self, on: Any) -> None:
        run = Run(on)
        run.app.home.kill_daemon()
        assert "the receiver went away" in run.end()
        run.app.home.up()
        (now,) = run.app.runs()
        assert now["exit_code"] is None, now
        run.open_gate()
        assert run.app.wait() == 6
        assert said(run.app, 1) == LINES
        assert on.left(run.app) == []

    def test_a_run_ends_well_under_another_nap_than_the_one_that_began_it(
        self, on: Any, tmp_path: Path
    ) -> None:
        app = on.new_app(GATED)
        before = tmp_path / "before"
        with other_command(app.home, other_nap(before)):
            app.home.up()
            run = Run(on, app)
        shutil.rmtree(before)
        said_of_it = app.home.nap("up").out
        assert "receiver stopped: it was started from other files than these" in said_of_it
        assert "the receiver went away" in run.end()
        run.open_gate()
        assert app.wait() == 6
        assert said(app, 1) == LINES
        assert on.left(app) == []

    def test_a_run_that_ended_without_the_receiver_has_its_exit_code(self, on: Any) -> None:
        run = Run(on)
        run.app.home.kill_daemon()
        run.open_gate()
        on.until_over(run.app, 1)
        run.end()
        run.app.home.up()
        assert run.app.wait() == 6
        assert said(run.app, 1) == LINES
        assert on.left(run.app) == []

    def test_results_come_home_in_the_names_a_program_gave_them(self, on: Any, tmp_path: Path) -> None:
        app = on.new_app(script(RESULTS, 'results: [out/, "*.txt"]\n'))
        pushed = app.push("strict")
        assert pushed.code == 0, pushed.out
        app.home.nap("results", app.name, "--to", str(tmp_path / "got"))
        files = [path for path in (tmp_path / "got").rglob("*") if path.is_file()]
        got = {str(path.relative_to(tmp_path / "got")): path.read_text().strip() for path in files}
        wanted = {}
        for index in (1, 2):
            slave = f"{app.name}-slave{index}"
            own = "out/two words", "out/two\nlines", "own.txt"
            names = *(f"slave{index}/{name}" for name in own), f"share/{slave}.txt"
            wanted |= dict.fromkeys(names, slave)
        assert got == wanted

    def test_a_script_and_the_first_slaves_ranks_have_one_app(self, on: Any, tmp_path: Path) -> None:
        app = on.new_app(ONE_APP)
        pushed = app.push("strict")
        assert pushed.code == 0, pushed.out
        first, second = (f"{app.name}-slave{index}" for index in (1, 2))
        assert app.lines() == sorted([f"{first} reads: by the script", f"the script reads: {first}"])
        app.home.nap("results", app.name, "--to", str(tmp_path / "got"))
        got = {str(path.relative_to(tmp_path / "got")) for path in (tmp_path / "got").rglob("*.txt")}
        assert got == {"slave1/script.txt", f"slave1/{first}.txt", f"slave2/{second}.txt"}
        assert (tmp_path / "got/slave1/script.txt").read_text() == "by the script\nafter\n"


class ProcessesContract:
    def test_a_profile_runs_to_its_end_and_fails_when_one_of_it_does(self, on: Any) -> None:
        app = on.new_app({"profile": "one: seq 20000\ntwo: echo two; exit 3\n"})
        pushed = app.push("strict")
        assert app.runs()[0]["exit_code"] == 3, pushed.out
        # Two who write at the same time may do so in the middle of a line.
        before, two, after = app.logs().partition("two\n")
        assert two
        assert (before + after).splitlines() == [str(number) for number in range(1, 20_001)]
        assert on.left(app) == []


    def test_a_service_lives_through_an_upgrade_and_is_replaced_by_the_next(
        self, on: Any, tmp_path: Path
    ) -> None:
        app = on.new_app(service("first"))
        before = tmp_path / "before"
        with other_command(app.home, other_nap(before)):
            app.home.up()
            pushed = app.push("strict")
        assert pushed.code == 0, pushed.out
        shutil.rmtree(before)
        place = where(pushed.out)
        app.commit(service("second"))
        with asked_all_the_time(*place) as seen:
            said_of_it = app.home.nap("up").out
        assert "receiver stopped: it was started from other files than these" in said_of_it
        assert (seen.failures, set(seen.answers)) == ([], {"first"})
        assert app.push("strict").code == 0
        app.wait("1")
        assert ask(*place) == "second"
        assert [run["state"] for run in app.runs()] == ["replaced", "running"]


class TestLocal(RanksContract, ProcessesContract):
    @pytest.fixture
    def on(self, new_app: NewApp) -> LocalEngine:
        return LocalEngine(new_app)


class TestContainers(RanksContract, ProcessesContract):
    @pytest.fixture
    def on(self, new_containers_app: NewApp, runtime: Runtime) -> ContainersEngine:
        return ContainersEngine(new_containers_app, runtime)


class TestNodes(RanksContract, ProcessesContract):
    @pytest.fixture
    def on(self, new_nodes_app: NewApp, nodes: tuple[Node, ...]) -> NodesEngine:
        return NodesEngine(new_nodes_app, nodes)


class TestNodesOfFleet(RanksContract):
    @pytest.fixture
    def on(self, fleet: Cluster, new_nodes_app: NewApp, nodes: tuple[Node, ...]) -> FleetEngine:
        return FleetEngine(new_nodes_app, nodes, fleet)
