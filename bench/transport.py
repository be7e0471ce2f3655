"""What several slaves on one machine cost a program: `python bench/transport.py [STACKS]`.

The same ranks as 4 slaves x 2 and as 1 slave x 8 slots, by turns, over the local engine's own hostfile
and settings. STACKS is where the MPI wheels are, or are installed (else a temporary folder).
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from support.local_engine import EngineLab

from buildpacks.stacks.mpi_wheel import install
from units.job import Job

ROUNDS = 5
APART, TOGETHER = (2, 2, 2, 2), (8,)
PROGRAMS = {
    "heat 30x42": ("heat", "30x42"),
    "heat 300x420": ("heat", "300x420"),
    "allreduce 300": ("allreduce", "", "300"),
    "allreduce 3000": ("allreduce", "", "3000"),
}
FLAVOURS = {"openmpi5": "openmpi", "mpich": "mpich"}


def main(stacks: Path, root: Path) -> None:
    lab = EngineLab(root, stacks)
    print(f"{'MPI':10}{'program':20}{'4 x 2':>9}{'1 x 8':>9}{'ratio':>8}")
    for flavour, wheel in FLAVOURS.items():
        install(wheel, stacks, print)
        for title, (name, plate, *arguments) in PROGRAMS.items():
            tree = program(lab, flavour, name, plate)
            apart, together = measure(lab, flavour, tree, (f"./{name}", *arguments))
            print(f"{flavour:10}{title:20}{apart:7.2f} s{together:7.2f} s{apart / together:8.2f}", flush=True)


def measure(lab: EngineLab, flavour: str, tree: Path, argv: tuple[str, ...]) -> tuple[float, float]:
    """Medians in seconds, from the master's start to its end."""
    times: dict[tuple[int, ...], list[float]] = {APART: [], TOGETHER: []}
    for _ in range(ROUNDS):
        for ranks, seconds in times.items():
            seconds.append(timed(lab, lab.mpi_job(tree, flavour, ranks, *argv)))
    return statistics.median(times[APART]), statistics.median(times[TOGETHER])


def program(lab: EngineLab, flavour: str, name: str, plate: str = "") -> Path:
    """The example's tree, compiled; with `plate` as the size of what it computes."""
    example = ROOT / "examples" / name
    sources = sorted(example.glob("src/*.c")) or [example / f"{name}.c"]
    tree = lab.compiled(name, sources, flavour, "-lm")
    if plate:
        rows, columns = plate.split("x")
        text = (example / "data" / "plate.txt").read_text()
        text = re.sub(r"(?m)^rows .*", f"rows {rows}", text)
        (tree / "data").mkdir(exist_ok=True)
        (tree / "data" / "plate.txt").write_text(re.sub(r"(?m)^columns .*", f"columns {columns}", text))
    return tree


def timed(lab: EngineLab, job: Job) -> float:
    handle = lab.submit(job)
    begun = time.monotonic()
    lab.start(handle, job)
    lab.engine.wait(handle, 120)
    seconds = time.monotonic() - begun
    ended = lab.finish(handle)
    if ended.outcome.exit_code != 0:
        raise SystemExit(f"{job.app}: {ended.outcome}\n{ended.text}")
    return seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(sys.argv[1]) if sys.argv[1:] else Path(folder) / "stacks", Path(folder) / "lab")
