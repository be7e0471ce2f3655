"""The containers engine with real containers of both runtimes, without the receiver."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers.engine import FLAVOURS, PROGRAMS, ContainersLab, a_lab
from support.containers.home import SharedStacks

from units.errors import UnitError
from units.job import Outcome
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

PROBE = PROGRAMS / "probe.c"
EATER = PROGRAMS / "eater.c"
SHARED = PROGRAMS / "shared.c"
STOPPED = Outcome(130, "it was cancelled", "cancelled")


@pytest.fixture(scope="module")
def labs(
    tmp_path_factory: pytest.TempPathFactory, runtime: Runtime, image_stacks: SharedStacks
) -> Iterator[ContainersLab]:
    made = a_lab(tmp_path_factory.mktemp(runtime.kind), runtime, image_stacks)
    yield made
    runtime.run("rmi", "--force", *made.images.values())


@pytest.fixture
def lab(labs: ContainersLab) -> Iterator[ContainersLab]:
    """Every test leaves nothing."""
    yield labs
    assert labs.left() == []


CAP_SYS_PTRACE = 1 << 19


@pytest.fixture
def probe(lab: ContainersLab) -> str:
    return lab.image("openmpi", PROBE, EATER, SHARED)


@pytest.mark.parametrize("mpi", FLAVOURS)
def test_ranks_are_where_their_slaves_are(lab: ContainersLab, mpi: str) -> None:
    image = lab.image(mpi, PROBE)
    ended = lab.run(lab.mpi_job(image, (2, 1), "./probe", "hello", flavour=FLAVOURS[mpi]))
    assert ended.outcome == Outcome(0), ended.text
    assert ended.lines == [f"rank {rank} of 3 on lab-slave{1 + rank // 2}" for rank in range(3)]


@pytest.mark.parametrize("mpi", FLAVOURS)
def test_slaves_on_the_machines_network_have_ports_of_their_own(
    tmp_path: Path, runtime: Runtime, image_stacks: SharedStacks, mpi: str
) -> None:
    lab = a_lab(tmp_path, runtime, image_stacks, host_network=True)
    image = lab.image(mpi, PROBE)
    ended = lab.run(lab.mpi_job(image, (1, 1), "./probe", "hello", flavour=FLAVOURS[mpi]))
    assert ended.lines == ["rank 0 of 2 on lab-slave1", "rank 1 of 2 on lab-slave2"], ended
    ports = {member["port"] for member in lab.announcements.members.values()}
    assert ports == set()  # withdrawn, as they were announced
    runtime.run("rmi", "--force", image)


def test_a_ranks_exit_code_is_the_runs(lab: ContainersLab, probe: str) -> None:
    ended = lab.run(lab.mpi_job(probe, (1, 1), "./probe", "exit", "1", "7"))
    assert ended.outcome.exit_code == 7, ended


def test_a_script_calls_mpirun_over_all_slaves(lab: ContainersLab, probe: str) -> None:
    ended = lab.run(lab.mpi_job(probe, (1, 1), script="mpirun ./probe hello; echo on $(hostname) done"))
    assert "rank 1 of 2 on lab-slave2" in ended.lines
    assert "on lab-slave1 done" in ended.lines


def test_a_member_has_its_containers_address(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.begin(job)
    members = [lab.announcements.members[slave.key] for slave in job.slaves]
    assert len({member["ip"] for member in members} - {""}) == 2
    assert {member["port"] for member in members} == {2222}
    lab.engine.stop(handle, STOPPED)
    assert lab.engine.outcome(handle) == STOPPED
    assert job.slaves[0].key not in lab.announcements.members


def test_a_frozen_slave_is_not_seen_alive(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.submit(job)  # no mpirun: it would give up on a slave frozen before it got there
    frozen, other = (slave.key for slave in job.slaves)
    assert lab.announcements.wait_for({frozen, other})
    assert lab.announcements.wait_alive(frozen)
    lab.runtime.ask("pause", lab.slave(job, 1))
    assert lab.announcements.wait_alive(other)
    assert lab.announcements.wait_alive(other)
    assert frozen not in lab.announcements.alive
    lab.runtime.ask("unpause", lab.slave(job, 1))
    assert lab.announcements.wait_alive(frozen)
    lab.engine.stop(handle, STOPPED)


def test_a_slave_that_is_killed_ends_the_run(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.begin(job)
    lab.runtime.ask("kill", lab.slave(job, 2))
    ended = lab.finish(handle)
    assert ended.outcome.exit_code == 137
    killed = f"the container {lab.slave(job, 2)} was killed by signal 9 (SIGKILL)"
    assert ended.outcome.reason == f"lab-slave2: {killed}"


def test_a_slave_that_is_stopped_by_hand_ends_the_run(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.begin(job)
    lab.runtime.ask("stop", lab.slave(job, 2))
    ended = lab.finish(handle)
    assert ended.outcome.exit_code == 137
    assert f"the container {lab.slave(job, 2)} was stopped by hand" in ended.outcome.reason


def test_a_rank_that_uses_up_its_slaves_memory_is_told_so(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./eater")
    limited = replace(job, slaves=tuple(replace(slave, memory=64 << 20) for slave in job.slaves))
    ended = lab.run(limited)
    assert ended.outcome.exit_code != 0
    assert (
        "ran out of memory: it used all of the 64 MB it may use (memory: in mpi.xml)" in ended.outcome.reason
    )


def test_a_foreign_container_of_the_same_name_is_left_alone(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "hello")
    name = lab.slave(job, 2)
    lab.runtime.ask("create", "--name", name, probe, "true")
    with pytest.raises(UnitError, match=f"there is a container {name} that is not nap's"):
        lab.submit(job)
    assert name in lab.runtime.ask("ps", "--all", "--format", "{{.Names}}").split()
    lab.runtime.ask("rm", name)


def test_a_slave_that_ends_at_once_is_shown_with_its_last_words(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "hello")
    broken = f"{probe}-broken"
    sshd = "#!/bin/sh\\necho nothing works here\\nexit 5\\n"
    (lab.root / "Broken").write_text(f"FROM {probe}\nUSER root\nRUN printf '{sshd}' > /usr/sbin/sshd\n")
    lab.runtime.ask("build", "--tag", broken, "--file", str(lab.root / "Broken"), str(lab.root))
    try:
        reason = lab.finish(lab.submit(replace(job, image=broken))).outcome.reason
    except UnitError as refusal:
        reason = refusal.message  # It ended while the other one was being started.
    assert "ended with 5: nothing works here before the run began" in reason
    lab.runtime.ask("rmi", "--force", broken)


def test_what_a_killed_runner_leaves_is_removed(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.begin(job)
    runner = lab.engine.runner(handle)
    assert runner
    os.kill(runner, signal.SIGKILL)
    ended = lab.finish(handle)
    assert ended.outcome.state == "lost"


def test_a_run_that_takes_too_long_is_ended(lab: ContainersLab, probe: str) -> None:
    job = replace(lab.mpi_job(probe, (1, 1), "./probe", "stay"), timeout=2)
    ended = lab.run(job)
    assert (ended.outcome.exit_code, ended.outcome.state) == (124, "timed out")


def test_keys_are_files_of_the_run_alone(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1,), "./probe", "stay")
    handle = lab.begin(job)
    secrets = [
        path for path in (handle.folder / "files").rglob("*") if path.name in ("id_ed25519", "host_key")
    ]
    assert len(secrets) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secrets)
    shown = lab.runtime.ask("container", "inspect", lab.slave(job, 1))
    called = [json.loads(path.read_text())["argv"] for path in (handle.folder / "units").glob("[ms]*.json")]
    for listing in (shown, str(called)):
        assert "OPENSSH" not in listing
        assert "ssh-ed25519" not in listing
        assert "OMPI_MCA" not in listing
    lab.engine.stop(handle, STOPPED)
    lab.engine.clean_up(handle)
    assert not (handle.folder / "files").exists()


def test_a_program_has_no_rights_over_the_machine(lab: ContainersLab, probe: str) -> None:
    script = "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; cat /sys/fs/cgroup/pids/pids.max"
    ended = lab.run(lab.mpi_job(probe, (1,), script=script))
    assert f"{lab.runtime.uid}" in ended.lines
    rights = {int(line.split()[1], 16) for line in ended.lines if line.startswith("Cap")}
    assert rights <= {0, CAP_SYS_PTRACE}  # ranks of one slave may copy from each other's memory
    assert "NoNewPrivs:\t1" in ended.lines
    assert "512" in ended.lines


def test_a_program_of_another_app_reaches_no_slave(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1, 1), "./probe", "stay")
    handle = lab.begin(job)
    ip = lab.announcements.members[job.slaves[0].key]["ip"]
    attack = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{ip}/2222 && head -c 7 <&3' || echo unreachable"
    assert lab.runtime.ask("exec", lab.slave(job, 2), "sh", "-c", attack) == "SSH-2.0"
    ended = lab.finish(lab.submit(replace(lab.process_job(probe, attack), app="other")))
    assert ended.lines == ["unreachable"]
    lab.engine.stop(handle, STOPPED)


def test_ranks_of_one_slave_talk_through_shared_memory(lab: ContainersLab, probe: str) -> None:
    ended = lab.run(lab.mpi_job(probe, (2,), "./shared"))
    assert ended.lines.count("shared memory: yes") == 2, ended.text
    assert ended.lines.count("the other's memory: yes") == 2, ended.text


def test_results_come_from_every_slave_and_from_what_they_share(lab: ContainersLab, probe: str) -> None:
    own, common = "mkdir -p out; hostname > out/name; echo > no.log", "hostname > $NAP_SHARE/$(hostname).txt"
    write = f"mpirun sh -c '{own}; {common}'"
    job = replace(lab.mpi_job(probe, (1, 1), script=write), results=("out", "*.txt"))
    ended = lab.run(job)
    names = sorted(str(path.relative_to(ended.folder / "results")) for path in ended.results)
    assert names == ["share/lab-slave1.txt", "share/lab-slave2.txt", "slave1/out/name", "slave2/out/name"]
    assert (ended.folder / "results/slave2/out/name").read_text() == "lab-slave2\n"


def test_what_a_container_mounts_is_nothing_but_its_own_files(lab: ContainersLab, probe: str) -> None:
    job = lab.mpi_job(probe, (1,), "./probe", "stay")
    handle = lab.begin(job)
    (found,) = json.loads(lab.runtime.ask("container", "inspect", lab.slave(job, 1)))
    sources = {mount["Source"] for mount in found["Mounts"]}
    assert all(source.startswith(str(handle.folder)) for source in sources)
    assert not found["HostConfig"]["Privileged"]
    lab.engine.stop(handle, STOPPED)


def test_a_program_that_ends_at_once_has_run(lab: ContainersLab, probe: str) -> None:
    ended = lab.finish(lab.submit(lab.process_job(probe, "echo fast; exit 3")))
    assert (ended.outcome.exit_code, ended.lines) == (3, ["fast"])


def test_a_service_that_cannot_be_started_keeps_nobody_waiting(lab: ContainersLab, probe: str) -> None:
    job = lab.process_job(probe, "", port=20999)
    job = replace(job, processes=(replace(job.processes[0], argv=("/nowhere",)),))
    handle = lab.submit(job)
    lab.engine.stop(handle, STOPPED)
    assert "ended with 0" not in handle.log.read_text()
