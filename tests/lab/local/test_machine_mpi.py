"""The machine's own Open MPI and MPICH: launched on the slaves, and ended, like nap's wheels."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.nap_home import App, NapHome, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PROBE = """\
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int rank, size;
    char host[256];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    gethostname(host, sizeof host);
    printf("rank %d of %d on %s\\n", rank, size, host);
    fflush(stdout);
    MPI_Barrier(MPI_COMM_WORLD);
    if (argc > 2 && strcmp(argv[1], "raise") == 0 && rank == size - 1) raise(atoi(argv[2]));
    if (argc > 2 && strcmp(argv[1], "abort") == 0) MPI_Abort(MPI_COMM_WORLD, atoi(argv[2]));
    if (argc > 2 && strcmp(argv[1], "exit") == 0) {
        MPI_Finalize();
        return atoi(argv[2]);
    }
    if (argc > 1) {
        if (rank == 0) puts("all are there");
        fflush(stdout);
        pause();
    }
    MPI_Finalize();
    return 0;
}
"""
SCRIPT = "mpirun ./probe\nmpirun -np 2 ./probe\n"
FOUR = [f"rank {rank} of 4 on {{0}}-slave{rank // 2 + 1}" for rank in range(4)]


@pytest.fixture(scope="module", params=["openmpi", "mpich"])
def app(
    request: pytest.FixtureRequest, machine_home: NapHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    name = f"probe-{request.param}"
    manifest = f"from: probe.c\nto: probe\nhosts: 2\nslots: 2\ntimeout: 40s\nmpi: {request.param}\n"
    app = machine_home.app(name, tmp_path_factory.mktemp(name) / "tree")
    app.commit({"probe.c": PROBE, "mpi.xml": manifest})
    yield app
    machine_home.nap("destroy", name, "--yes")


def ranks(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if line.startswith("rank "))


def expected(app: App) -> list[str]:
    return [line.format(app.name) for line in FOUR]


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in children for found in (int(child), *descendants(int(child)))]


def probes(unit: dict[str, Any]) -> int:
    """How many ranks descend from a slave."""
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in descendants(unit["pid"])]
    return names.count("probe\n")


def test_each_rank_is_on_its_slave_and_knows_its_name(app: App) -> None:
    pushed = app.push()
    assert pushed.code == 0, pushed.out
    assert "(machine)" in pushed.out
    assert app.wait() == 0
    assert ranks(app.logs()) == expected(app)


def test_a_script_calls_plain_mpirun_over_the_slaves(app: App) -> None:
    manifest = (app.tree / "mpi.xml").read_text()
    app.commit({"mpi.xml": manifest + "run: sh steps.sh\n", "steps.sh": SCRIPT})
    pushed = app.push()
    assert app.wait() == 0, pushed.out
    assert ranks(app.logs()) == sorted(
        [*expected(app), *(f"rank {i} of 2 on {app.name}-slave1" for i in (0, 1))]
    )
    app.commit({"mpi.xml": manifest})


@pytest.mark.parametrize("way", ["exit", "abort"])
def test_the_programs_exit_code_is_the_runs(app: App, way: str) -> None:
    pushed = app.push(f"args={way} 3")
    assert app.wait() == 3, pushed.out


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_rank_that_dies_of_a_signal_is_128_and_its_number(app: App, number: signal.Signals) -> None:
    pushed = app.push(f"args=raise {number.value}")
    # MPICH's mpiexec ors the statuses it has by then, and it kills the other ranks with SIGKILL.
    possible = {128 + number, 128 + (number | signal.SIGKILL)} if "mpich" in app.name else {128 + number}
    assert app.wait() in possible, pushed.out


def test_every_rank_descends_from_its_slave_and_dies_with_it(app: App) -> None:
    push = app.start_push("args=wait")
    with push, push.stderr as lines:
        wait_for(lines, "all are there")
        (running,) = [entry for entry in app.home.json("ps") if entry["app"] == app.name]
        slaves = [unit for unit in running["units"] if "slaves_" in unit["name"]]
        assert [probes(unit) for unit in slaves] == [2, 2]
        os.kill(slaves[1]["pid"], signal.SIGKILL)
        wait_for(lines, f"the slave {app.name}-slave2 was killed by signal 9 (SIGKILL)")
        assert app.wait() == 137
    assert [entry for entry in app.home.json("ps") if entry["app"] == app.name] == []


def test_a_cancelled_run_ends_with_130(app: App) -> None:
    push = app.start_push("args=wait")
    with push, push.stderr as lines:
        wait_for(lines, "all are there")
        app.home.nap("cancel", app.name)
        assert app.wait() == 130
        lines.read()
