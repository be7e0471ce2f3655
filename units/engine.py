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
    """Submits all of a job's units or none, and finds them again after the receiver died.

    An engine keeps `handle.output` complete: the program's output goes there and nowhere else. All methods
    can be called by several threads at a time. The methods that are not abstract suit an engine whose units
    are on the receiver's own machine.
    """

    name: str
    hostfile: str
    """The path at which mpirun finds the hostfile."""
    runs_images = False
    """Whether programs are images of a container runtime, not trees of this machine."""
    on_nodes = False
    """Whether units are on machines that were added by `nap nodes add`."""
    runs_processes = True
    """Whether services, and programs without ranks, run as well as MPI programs."""
    makes_room = False
    """Whether a service has to be stopped before the next one is started in its place."""

    @abstractmethod
    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """Return the units that would be submitted, without running anything."""

    @abstractmethod
    def submit(self, job: Job, folder: Path) -> Handle:
        """Start the job's slaves, or its processes, in `folder`: all, or raise UnitError with none left."""

    @abstractmethod
    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        """Start mpirun, with `files` (content by name: the hostfile) beside it."""

    @abstractmethod
    def running(self, handle: Handle) -> bool:
        """Return whether any part of the run is still up."""

    @abstractmethod
    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Wait for the run's end, at most `seconds` (None: no timeout). Return whether it has ended."""

    @abstractmethod
    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """End the run, gently first. Its outcome is `outcome` unless it ended before.

        Afterwards its output is on this machine. Its units and files can remain until `clean_up`.
        """

    @abstractmethod
    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        """Return the current states of the run's units."""

    @abstractmethod
    def results(self, handle: Handle) -> tuple[Path, ...]:
        """Keep the files that match the job's `results`, and return their paths.

        Raise UnitError when a run that ended well lacks some.
        """

    @abstractmethod
    def clean_up(self, handle: Handle) -> None:
        """Remove what is left of a run whose end was reported: its units, and its files except the records.

        Idempotent. Wait for another caller that is at it. Raise UnitError or OSError when the cleanup fails
        now: the caller keeps it on record as pending, and retries.
        """

    def answers(self, _handle: Handle, _port: int) -> bool:
        """Return whether the run's web process answers; if so, `port` of the app leads to it from then on."""
        return False

    def has_ended(self, handle: Handle) -> bool:
        """Return whether the run's end was recorded."""
        return ending.is_kept(handle.folder)

    def outcome(self, handle: Handle) -> Outcome:
        """Return how an ended run ended: `lost` without a record."""
        return ending.kept(handle.folder) or _LOST

    def note(self, _job: Job) -> str:
        """Return a warning about this engine for the user that pushes; empty when there is none."""
        return ""

    def never_fits(self, _job: Job) -> str:
        """Return why there never will be room for the job; empty when there can be."""
        return ""

    def place(
        self, job: Job, _handle: Handle, _told: Callable[[str], None], _given_up: Callable[[], bool]
    ) -> Job | None:
        """Return the job with a node for each slave, if the engine has nodes; None when it was cancelled.

        Jobs wait for room in the order of their arrival. Meanwhile `_told` is called with a sentence, and
        `_given_up` returns whether the job was cancelled. A job that was submitted already keeps its nodes.
        Raise UnitError when there never will be room.
        """
        return job

    def begin(self) -> None:
        """Finish what earlier receivers left to be done. Called once, when the receiver is up."""

    def adopt(self, handle: Handle) -> None:
        """Take over a run that an earlier receiver submitted."""

    def uses(self) -> Sequence[Use]:
        """Return what runs use of the nodes, if the engine has nodes."""
        return ()

    def miss_nodes(self) -> None:
        """End services on nodes that are no longer in the book of nodes. Called when the book has changed."""

    def forget(self, image: str) -> None:
        """Remove all of the engine's copies of an image that no release uses any more."""
