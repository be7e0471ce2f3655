"""MPI in containers against MPI on the bare machine: `python bench/container_mpi.py [FOLDER]`.

Two ranks in one slave against two bare ones, and in two slaves, on the app's network and on the machine's,
against two bare ones over TCP on loopback: same wheel, same MCA settings, by turns. FOLDER: see
container_homes.py.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import container_homes
from support.containers.engine import ContainersLab
from support.nap_home import NapHome

ROUNDS = 5
PROGRAM = Path(__file__).with_name("two_ranks.c")
ONE, TWO, HOST = "one slave", "two slaves", "two slaves, network: host"
SHARED, LOOPBACK = "bare, shared memory", "bare, TCP on loopback"
Result = tuple[float, float, float]


@dataclass(frozen=True)
class Goal:
    """How much of the bare machine's latency there may be, and how much of its bandwidth there must be."""

    against: str
    latency: float
    bandwidth: float


GOALS = {ONE: Goal(SHARED, 1.1, 0.95), TWO: Goal(LOOPBACK, 1.5, 0.8), HOST: Goal(LOOPBACK, 1.1, 0.95)}


def main() -> None:
    container_homes.report_each(report)


def report(home: NapHome) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = measure({**in_containers(home, Path(folder)), **bare(home, Path(folder))})
    print(f"{'':28}{'8 B':>10}{'4 MiB':>14}{'Allreduce 1 MiB':>18}")
    found = {name: tuple(map(statistics.median, zip(*taken, strict=True))) for name, taken in results.items()}
    for name, (latency, bandwidth, reduce) in found.items():
        print(f"{name:28}{latency:7.2f} us{bandwidth:9.2f} GB/s{reduce:15.0f} us")
    for name, goal in GOALS.items():
        latency, bandwidth, reduce = ratios(results[name], results[goal.against])
        wanted = f"{latency:.2f} (at most {goal.latency}), {bandwidth:.2f} (at least {goal.bandwidth})"
        print(f"{name} / bare: {wanted}, {reduce:.2f}")


def measure(cases: dict[str, Callable[[], Result]]) -> dict[str, list[Result]]:
    """By turns, so that a noisy machine is noisy for all."""
    results: dict[str, list[Result]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            results[name].append(case())
    return results


def ratios(inside: list[Result], outside: list[Result]) -> list[float]:
    """The median of each measure's, round by round."""
    pairs = zip(inside, outside, strict=True)
    rounds = [[one / other for one, other in zip(*pair, strict=True)] for pair in pairs]
    return [statistics.median(measure) for measure in zip(*rounds, strict=True)]


def in_containers(home: NapHome, folder: Path) -> dict[str, Callable[[], Result]]:
    runtime, stacks = container_homes.runtime_of(home), {"openmpi": container_homes.stack_of(home, "openmpi")}
    app = ContainersLab(folder / "app", runtime, stacks)
    host = ContainersLab(folder / "host", runtime, stacks, host_network=True)
    image = app.image("openmpi", PROGRAM)
    return {
        ONE: lambda: inside(app, image, (2,)),
        TWO: lambda: inside(app, image, (1, 1)),
        HOST: lambda: inside(host, image, (1, 1)),
    }


def inside(lab: ContainersLab, image: str, ranks: tuple[int, ...]) -> Result:
    return result(lab.run(lab.mpi_job(image, ranks, f"./{PROGRAM.stem}")).text)


def bare(home: NapHome, folder: Path) -> dict[str, Callable[[], Result]]:
    """With what nap sets for ranks of one node, and of several."""
    prefix = next((home.root / "stacks").glob("openmpi-*"))
    names = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    env = {
        **os.environ, **dict.fromkeys(names, "1"), "PATH": f"{prefix}/bin:{os.environ['PATH']}",
        "PRTE_MCA_hwloc_default_binding_policy": "none", "OMPI_MCA_pml": "ob1", "OMPI_MCA_coll": "^han",
        "OMPI_MCA_btl_tcp_if_include": "lo",
    }  # fmt: skip
    program = str(folder / PROGRAM.stem)
    subprocess.run(("mpicc", "-O2", str(PROGRAM), "-o", program), env=env, check=True)

    def outside(transports: str) -> Result:
        command = ("mpirun", "-np", "2", program)
        own = {**env, "OMPI_MCA_btl": transports}
        return result(subprocess.run(command, env=own, check=True, capture_output=True, text=True).stdout)

    return {SHARED: lambda: outside("self,sm,tcp"), LOOPBACK: lambda: outside("self,tcp")}


def result(text: str) -> Result:
    found = re.search(r"^result (\S+) (\S+) (\S+)$", text, re.M)
    if not found:
        raise SystemExit(f"no result: {text}")
    latency, bandwidth, reduce = map(float, found.groups())
    return latency, bandwidth, reduce


if __name__ == "__main__":
    main()
