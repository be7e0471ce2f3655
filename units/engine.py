"""What every engine answers to, whatever its units run on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from units.job import Handle, Job, Outcome, UnitFile, UnitState


class Engine(Protocol):
    """Submits a job's units all or none, and finds them again after the receiver died.

    An engine keeps `handle.output` complete: what the program writes lands there and nowhere else.
    """

    name: str
    note: str
    """What whoever pushes has to know of this engine here; empty when all is as it should be."""

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """What would be submitted, without running anything."""

    def submit(self, job: Job, folder: Path) -> Handle:
        """Start the job's slaves, or its processes, in `folder`: all, or UnitError and none."""

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        """Start mpirun; `files` (the hostfile, by name and content) are beside it."""

    def running(self, handle: Handle) -> bool:
        """Whether anything of the run is still there."""

    def has_ended(self, handle: Handle) -> bool:
        """Whether the run came to an end that was kept."""

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Wait for the run's end, `None` for as long as it takes; whether it has ended."""

    def outcome(self, handle: Handle) -> Outcome:
        """How an ended run ended."""

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """End everything of the run, gently first. Its outcome is `outcome` unless it ended before."""

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        """The run's units as they are now."""

    def results(self, handle: Handle) -> tuple[Path, ...]:
        """Keep the files that match the job's `results` and throw the run's other files away."""
