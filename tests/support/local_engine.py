"""A local engine for tests and benchmarks: programs compiled for an MPI, jobs, and what came of them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from units import launching, names
from units.capsule.kinds import Enclosure
from units.engine import Engine
from units.job import Handle, Job, Mpi, Outcome, Process
from units.launching import Machine
from units.local.engine import LocalEngine

MPICC = {"openmpi5": "openmpi-5.0.11/bin", "mpich": "mpich-5.0.2/bin"}
WITHIN = 150


@dataclass(frozen=True)
class Ended:
    """A run that is over; `text` is its output, `results` what was kept."""

    outcome: Outcome
    text: str
    folder: Path
    results: tuple[Path, ...] = ()

    @property
    def lines(self) -> list[str]:
        return sorted(self.text.splitlines())


class EngineLab:
    """A home with an engine and no receiver. `stacks` holds the MPI wheels."""

    def __init__(
        self, root: Path, stacks: Path, machine: Machine | None = None, enclosure: Enclosure | None = None
    ) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.stacks = stacks
        self.engine = LocalEngine(self.home, machine or Machine.here(), enclosure)
        self._runs = 0

    def path(self, flavour: str) -> str:
        return f"{self.stacks / MPICC[flavour]}:{os.environ['PATH']}"

    def tree(self, name: str, files: dict[str, str] | None = None) -> Path:
        tree = self.home / "images" / name
        tree.mkdir(parents=True, exist_ok=True)
        for file, content in (files or {}).items():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_text(content)
        return tree

    def compiled(self, name: str, sources: list[Path], flavour: str, *flags: str) -> Path:
        """A tree with the program `name` in it."""
        tree = self.tree(f"{name}-{flavour}")
        command = ["mpicc", "-O2", "-o", str(tree / name), *map(str, sources), *flags]
        env = {**os.environ, "PATH": self.path(flavour)}
        subprocess.run(command, env=env, check=True, capture_output=True)
        return tree

    def job(self, tree: Path, app: str = "lab") -> Job:
        self._runs += 1
        home = str(Path.home())
        env = (("HOME", home), ("LANG", "C.UTF-8"), ("PATH", os.environ["PATH"]))
        return Job(app=app, run=self._runs, release=1, prefix="", image="", tree=tree, stack="plain", env=env)

    def mpi_job(
        self, tree: Path, flavour: str, ranks: tuple[int, ...], *program: str, script: str = ""
    ) -> Job:
        job = self.job(tree)
        run = ("sh", "-c", script) if script else ()
        slaves = names.slaves(job.app, job.run, ranks, str(self.root))
        keyed = tuple(replace(slave, key=f"/{slave.name}", member=f"m{slave.index}") for slave in slaves)
        return replace(
            job,
            env=(*(pair for pair in job.env if pair[0] != "PATH"), ("PATH", self.path(flavour))),
            visible=(self.stacks,) if self.home in self.stacks.parents else (),
            slaves=keyed,
            mpi=Mpi(flavour, sum(ranks), program if not script else (), run),
        )

    def processes_job(self, tree: Path, commands: dict[str, str]) -> Job:
        processes = tuple(Process(name, ("sh", "-c", text)) for name, text in commands.items())
        return replace(self.job(tree), processes=processes)

    def submit(self, job: Job) -> Handle:
        return self.engine.submit(job, self.home / "runs" / job.app / str(job.run))

    def begin(self, job: Job) -> Handle:
        """Submitted, and its master started."""
        handle = self.submit(job)
        self.start(handle, job)
        return handle

    def start(self, handle: Handle, job: Job) -> None:
        if job.mpi:
            self.engine.start_master(handle, {"hostfile": launching.hostfile(job.mpi, job.slaves)})

    def finish(self, handle: Handle, within: float = WITHIN) -> Ended:
        return finished(self.engine, handle, within)

    def run(self, job: Job, within: float = WITHIN) -> Ended:
        return self.finish(self.begin(job), within)


def finished(engine: Engine, handle: Handle, within: float) -> Ended:
    """What came of a run that ends within so many seconds."""
    try:
        assert engine.wait(handle, within), f"still runs: {handle.output.read_text()}"
    finally:
        engine.stop(handle, Outcome(130, "the test is over", "cancelled"))
    outcome = engine.outcome(handle)
    text = handle.output.read_text(errors="replace") if handle.output.exists() else ""
    results = engine.results(handle)
    engine.clean_up(handle)
    return Ended(outcome, text, handle.folder, results)
