"""Whole jobs as systemd's units, compared with `tests/golden/systemd`, and read by systemd itself.

To write these files anew, and then look at what has changed:
`NAP_GOLDEN=write python -m pytest tests/test_units_systemd.py tests/test_units_fleet.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from golden_units import assert_golden, verified, write

from units import names
from units.errors import UnitError
from units.job import Job, Mpi, Process, UnitFile
from units.systemd import process_units, unit_files
from units.systemd.belongings import Belongings
from units.systemd.node import Login, Node
from units.systemd.unit_files import Site

GOLDEN = Path(__file__).parent / "golden" / "systemd"
ODD = (
    'q"uo', "si'ngle", "a  b", " ", "", "100%", "%i", "%%", "$HOME", "${HOME}", "$$", "back\\slash", "\\",
    "\\x41", "two\nlines", "tab\there", "\r", "\x01\x1f\x7f", ";", "#", "-", "@", "ü😀\u2028", "--=[X]",
)  # fmt: skip
LOGIN = Login("ops", "node1", 22, "ssh-ed25519 A")
ONE = Node(
    "node1", LOGIN, "10.0.0.11", "eth0", "10.0.0.0/24", slots=4, memory=8 << 30, cores=4, arch="amd64",
    runtime="/usr/bin/podman", kind="podman",
)  # fmt: skip
TWO = replace(ONE, name="node2", address="10.0.0.12", runtime="/usr/bin/docker", kind="docker")
SITE = Site("/home/me/.nap", "", 1000, 512)
JOB = Job(
    app="hello", run=3, release=7, prefix="", image=f"receiver:5000/hello_image@sha256:{'0' * 64}",
    tree=None, stack="openmpi",
)  # fmt: skip
PLACES = ((ONE, 22000), (TWO, 22000), (ONE, 22001))
SLAVES = tuple(
    replace(slave, node=node.name, address=node.address, port=port)
    for slave, (node, port) in zip(names.slaves("hello", 3, (2, 1, 1)), PLACES, strict=True)
)
LIMITED = tuple(replace(slave, cpus=2 * slave.slots, memory=64 << 20) for slave in SLAVES)
JOBS = {
    "two-nodes": replace(JOB, slaves=SLAVES, mpi=Mpi("openmpi5", 4, ("./hello", *ODD))),
    "limited": replace(
        JOB,
        prefix="c0ffee",
        slaves=LIMITED,
        mpi=Mpi("mpich", 4, script=("sh", "-ec", "mpirun ./a\nmpirun ./b")),
        timeout=90,
    ),
    "one": replace(JOB, slaves=SLAVES[:1], mpi=Mpi("openmpi4", 2, ("./hello",), env=(("SECRET", "a b"),))),
}


WEB = Process("web", ("sh", "-c", "exec ./serve"), 5001, address="10.0.0.11", node="node1", inner=22000)
WORKER = Process("worker", ("./work", *ODD), address="10.0.0.12", node="node2", inner=22001)
OF_PROCESSES = {
    "service": replace(JOB, stack="plain", service=True, processes=(WEB, WORKER)),
    "own-image": replace(JOB, stack="dockerfile", service=True, processes=(replace(WEB, argv=()),)),
    "profile": replace(JOB, stack="plain", processes=(WORKER,), timeout=90),
}
ALL = JOBS | OF_PROCESSES


def units(job: Job, runtime: str = "") -> tuple[UnitFile, ...]:
    """`runtime` is the one of all nodes, in the place of their own."""
    nodes = [replace(node, runtime=runtime or node.runtime) for node in (ONE, TWO)]
    render = unit_files.render_all if job.mpi else process_units.render_all
    return render(job, nodes, replace(SITE, prefix=job.prefix))


@pytest.mark.parametrize("name", ALL)
def test_a_whole_job_is_rendered_as_it_always_was(name: str) -> None:
    assert_golden(GOLDEN / name, units(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_systemd_finds_nothing_wrong_with_any_unit(name: str, tmp_path: Path) -> None:
    made = {unit.name: unit.content for unit in units(ALL[name], runtime="/bin/true")}
    write(tmp_path, made)
    for node in {Path(path).parent for path in made}:
        assert verified(tmp_path / node) == ""


def test_a_unit_that_systemd_does_not_take_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"wrong.service": "[Service]\nExecStart=/bin/true\nTyp=exec\n"})
    assert "Typ" in verified(tmp_path)


def test_each_node_has_units_of_its_own_slaves_and_the_first_one_the_master() -> None:
    assert [unit.name for unit in units(JOBS["limited"])] == [
        "node1/c0ffee_slaves_hello@.service",
        "node1/c0ffee_discovery_hello@.service",
        "node2/c0ffee_slaves_hello@.service",
        "node2/c0ffee_discovery_hello@.service",
        "node1/c0ffee_master_hello.service",
    ]


def test_a_node_that_is_gone_is_named() -> None:
    with pytest.raises(UnitError, match="the node node2 of hello-slave2 is not there any more"):
        unit_files.render_all(JOBS["two-nodes"], [ONE], SITE)


def test_two_runs_of_one_release_have_units_of_their_own() -> None:
    first, second = ALL["service"], replace(ALL["service"], run=4)
    assert not {unit.name for unit in units(first)} & {unit.name for unit in units(second)}


def test_a_secret_of_the_environment_is_in_no_unit() -> None:
    assert not any("a b" in unit.content for unit in units(JOBS["one"]))


def test_slaves_of_one_node_have_each_the_limits_of_their_own_size() -> None:
    made = Belongings.of(JOBS["limited"], [ONE, TWO], SITE, ())
    memory = "--memory 67108864 --memory-swap 67108864"
    assert [slave.name for slave in made.placed[ONE]] == ["hello-slave1", "hello-slave3"]
    assert made.files["hello-slave1/limits"] == f"LIMITS=--cpus 4 {memory}\n"
    assert made.files["hello-slave3/limits"] == f"LIMITS=--cpus 2 {memory}\n"
    assert Belongings.of(JOBS["one"], [ONE], SITE, ()).files["hello-slave1/limits"] == "LIMITS=\n"
