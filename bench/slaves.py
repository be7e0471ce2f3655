"""How fast the local engine's slaves are alive, and what one costs: `python bench/slaves.py`.

"alive" is from the call of submit to its return, when each slave has been executed and awaits requests.
Memory is of one slave beyond the first: resident (RSS), and its share of what is shared (PSS).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from support.local_engine import EngineLab

from units.job import Outcome

ROUNDS = 5
SIZES = (4, 16, 64)
OVER = Outcome(130, "measured", "cancelled")


def main(root: Path) -> None:
    lab = EngineLab(root, root / "stacks")
    print(f"{'slaves':>6}{'alive':>10}{'RSS each':>12}{'PSS each':>12}")
    for size in SIZES:
        measured = [measure(lab, size) for _ in range(ROUNDS)]
        seconds, resident, proportional = map(statistics.median, zip(*measured, strict=True))
        print(f"{size:6}{seconds:8.3f} s{resident:9.2f} MB{proportional:9.2f} MB", flush=True)


def measure(lab: EngineLab, size: int) -> tuple[float, float, float]:
    """Seconds until alive; megabytes RSS and PSS of a slave."""
    job = lab.mpi_job(lab.tree("empty"), "openmpi5", (1,) * size, "true")
    begun = time.monotonic()
    handle = lab.submit(job)
    seconds = time.monotonic() - begun
    try:
        slaves = [state.pid for state in lab.engine.states(handle) if state.slots]
        beyond = [memory(pid) for pid in slaves[1:]]
    finally:
        lab.engine.stop(handle, OVER)
        lab.finish(handle)
    return seconds, statistics.mean(rss for rss, _ in beyond), statistics.mean(pss for _, pss in beyond)


def memory(pid: int) -> tuple[float, float]:
    """A process's RSS and PSS in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return found["Rss"], found["Pss"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "lab")
