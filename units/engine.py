"""The contract of every engine, whatever its units run on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from units import ending
from units.job import Handle, Job, Outcome, UnitFile, UnitState
from units.placement.capacity import Use

_LOST = Outcome(137, "its processes were killed from outside, or the machine went down", "lost")


class Engine(ABC):
    """Submits a job's units all or none, and finds them again after the receiver died.

    An engine keeps `handle.output` complete: what the program writes lands there and nowhere else. All
    methods may be called by several threads at a time. What is not abstract here is right for an engine
    whose units are on the receiver's own machine.
    """

    name: str
    hostfile: str
    """Where mpirun finds the hostfile."""
    runs_images = False
    """Programs are images of a container runtime, not trees of this machine."""
    on_nodes = False
    """Units are on machines that were added by `nap nodes add`."""
    runs_processes = True
    """Services, and programs without ranks, run as well as MPI programs."""
    makes_room = False
    """A service has to be stopped before the next one is started in its place."""

    @abstractmethod
    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """Return what would be submitted, without running anything."""

    @abstractmethod
    def submit(self, job: Job, folder: Path) -> Handle:
        """Start the job's slaves, or its processes, in `folder`: all, or UnitError and none."""

    @abstractmethod
    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        """Start mpirun; `files` (the hostfile, by name and content) are beside it."""

    @abstractmethod
    def running(self, handle: Handle) -> bool:
        """Return whether anything of the run is still there."""

    @abstractmethod
    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Wait for the run's end, `None` for as long as it takes; return whether it has ended."""

    @abstractmethod
    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """End the run, gently first. Its outcome is `outcome` unless it ended before.

        What it wrote is here afterwards; what it had may still be there until `clean_up`.
        """

    @abstractmethod
    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        """Return the run's units as they are now."""

    @abstractmethod
    def results(self, handle: Handle) -> tuple[Path, ...]:
        """Keep the files that match the job's `results`. UnitError when a run that ended well lacks some."""

    @abstractmethod
    def clean_up(self, handle: Handle) -> None:
        """Remove what is left of a run whose end was told: its units, and those of its files that are no
        record of it. Waits for whoever is at it; once more does no harm.

        UnitError or OSError when that cannot be done now: the caller has it on record, and tries it again.
        """

    def answers(self, _handle: Handle, _port: int) -> bool:
        """Return whether the run's web process answers, and is what `port` leads to where it is found."""
        return False

    def has_ended(self, handle: Handle) -> bool:
        """Return whether the run came to an end that was kept."""
        return ending.is_kept(handle.folder)

    def outcome(self, handle: Handle) -> Outcome:
        """Return how an ended run ended."""
        return ending.kept(handle.folder) or _LOST

    def note(self, _job: Job) -> str:
        """Return what whoever pushes has to know of this engine here; empty when all is as it should be."""
        return ""

    def never_fits(self, _job: Job) -> str:
        """Return why there never will be room for the job; empty where there may be."""
        return ""

    def place(
        self, job: Job, _handle: Handle, _told: Callable[[str], None], _given_up: Callable[[], bool]
    ) -> Job | None:
        """Return the job with a node for each slave, where an engine has nodes; None when it was given up.

        One that was submitted is where it is.

        While there is no room for it `told` hears a sentence, and it waits in the order in which jobs came.
        UnitError when there never will be room.
        """
        return job

    def begin(self) -> None:
        """The receiver is up: look after what earlier ones left to be done."""

    def adopt(self, handle: Handle) -> None:
        """Take a run that an earlier receiver has submitted into account."""

    def uses(self) -> Sequence[Use]:
        """Return what runs have of the nodes, where an engine has nodes."""
        return ()

    def miss_nodes(self) -> None:
        """The book of nodes has changed: end what stays up on one that is no longer in it."""

    def forget(self, image: str) -> None:
        """No release has the image any more: remove it from wherever the engine has copies of it."""
