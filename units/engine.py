"""What every engine answers to, whatever its units run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from units.job import Handle, Job, Outcome, UnitFile, UnitState
from units.placement.capacity import Use


class Engine(Protocol):
    """Submits a job's units all or none, and finds them again after the receiver died.

    An engine keeps `handle.output` complete: what the program writes lands there and nowhere else.
    """

    name: str
    hostfile: str
    """Where mpirun finds the hostfile."""
    makes_room: bool
    """Whether a service has to be stopped before the next one is started in its place."""

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """What would be submitted, without running anything."""

    def note(self, job: Job) -> str:
        """What whoever pushes has to know of this engine here; empty when all is as it should be."""

    def never_fits(self, job: Job) -> str:
        """Why there never will be room for the job; empty where there may be."""

    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """The job with a node for each slave, where an engine has nodes; None when it was given up.

        One that was submitted is where it is.

        While there is no room for it `told` hears a sentence, and it waits in the order in which jobs came.
        UnitError when there never will be room.
        """

    def begin(self) -> None:
        """The receiver is up: look after what earlier ones left to be done."""

    def adopt(self, handle: Handle) -> None:
        """Take a run that an earlier receiver has submitted into account."""

    def uses(self) -> Sequence[Use]:
        """What runs have of the nodes, where an engine has nodes."""

    def miss_nodes(self) -> None:
        """The book of nodes has changed: end what stays up on one that is no longer in it."""

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

    def answers(self, handle: Handle, port: int) -> bool:
        """Whether the run's web process answers, and is what `port` leads to where it is found."""

    def outcome(self, handle: Handle) -> Outcome:
        """How an ended run ended."""

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """End the run, gently first. Its outcome is `outcome` unless it ended before.

        What it wrote is here afterwards; what it had may still be there until `clean_up`.
        """

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        """The run's units as they are now."""

    def forget(self, image: str) -> None:
        """No release has the image any more: it goes from wherever the engine has copies of it."""

    def results(self, handle: Handle) -> tuple[Path, ...]:
        """Keep the files that match the job's `results`. UnitError when a run that ended well lacks some."""

    def clean_up(self, handle: Handle) -> None:
        """Remove what is left of a run whose end was told: its units, and those of its files that are no
        record of it. Waits for whoever is at it; once more does no harm.

        UnitError or OSError when that cannot be done now: the caller has it on record, and tries it again.
        """
