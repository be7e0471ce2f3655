"""The end of a run is told before its containers are removed, and whatever happens then, nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.containers.home import SharedStacks, left, new_home
from support.nap_home import App
from support.polling import until

from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

RANKS: dict[str, str | bytes] = {
    "mpi.xml": "build: chmod +x program\nto: program\nhosts: 2\nresults: '*.txt'\n",
    "program": "#!/bin/sh\necho hello from $(hostname)\necho kept >$(hostname).txt\n",
}


class Gate:
    """A client of the runtime's whose `rm` waits as long as the gate is closed."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        folder.mkdir()
        self.folder = folder
        self._fifo = folder / "closed"
        os.mkfifo(self._fifo)
        self._held = os.open(self._fifo, os.O_RDWR)
        client = folder / runtime.kind
        wait = f'[ "$1" != rm ] || [ ! -p {self._fifo} ] || read go <{self._fifo}'
        client.write_text(f'#!/bin/sh\n{wait}\nexec {shutil.which(runtime.program)} "$@"\n')
        client.chmod(0o755)

    def open(self) -> None:
        """For who waits, and for who comes."""
        self._fifo.unlink(missing_ok=True)
        os.write(self._held, b"\n" * 100)


@pytest.fixture
def gate(tmp_path: Path, runtime: Runtime) -> Gate:
    return Gate(tmp_path / "client", runtime)


@pytest.fixture
def told(tmp_path: Path, image_stacks: SharedStacks, runtime: Runtime, gate: Gate) -> Iterator[App]:
    """An app whose first run was told to have ended while its containers are all there."""
    home = new_home(tmp_path / "home", image_stacks, runtime)
    home.env["PATH"] = f"{gate.folder}:{home.env['PATH']}"
    home.up()
    app = home.app("told", tmp_path / "tree", RANKS)
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert "run 1 of told: succeeded, exit 0" in pushed.out
    names = [path.name for path in (home.root / "runs/told/1/results").rglob("*.txt")]
    assert sorted(names) == ["told-slave1.txt", "told-slave2.txt"]
    assert any(name.endswith("_told_slave2") for name in left(home, runtime))
    yield app
    gate.open()
    home.down()


def kill_runner(app: App) -> None:
    pid = int((app.home.root / f"runs/{app.name}/1/pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


def test_the_apps_next_run_waits_for_what_it_needs(told: App, gate: Gate, runtime: Runtime) -> None:
    push = told.start_push()
    assert push.stderr
    for line in push.stderr:
        if "run 2 of told v1" in line:
            break
    gate.open()
    assert "run 2 of told: succeeded, exit 0" in push.communicate(timeout=200)[1]
    told.wait_until_clean()
    assert left(told.home, runtime) == []


def test_a_receiver_that_comes_back_removes_what_is_left_of_a_killed_runner(
    told: App, gate: Gate, runtime: Runtime
) -> None:
    told.home.kill_daemon()
    kill_runner(told)
    gate.open()
    told.home.up()
    told.wait_until_clean()
    assert left(told.home, runtime) == []
    assert told.wait() == 0


def test_destroying_an_app_waits_until_nothing_is_left(told: App, gate: Gate, runtime: Runtime) -> None:
    destroy = told.home.start_nap("destroy", "told", "--yes")
    until(lambda: "told is being destroyed" in told.home.nap("run", "told", "-d").err, True)
    gate.open()
    assert destroy.wait(200) == 0
    assert left(told.home, runtime) == []


def test_down_removes_what_is_left(told: App, gate: Gate, runtime: Runtime) -> None:
    told.home.kill_daemon()
    kill_runner(told)
    gate.open()
    told.home.down()
    assert left(told.home, runtime) == []
