"""The interface in which engines on nodes differ: how jobs are placed, and how their units are started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from units.job import Handle, Job, Outcome, UnitFile
from units.node_runs.tools import NodeTiming
from units.nodes.allocation import Allocation
from units.nodes.announce import Etcd
from units.nodes.node import Node
from units.nodes.pull import Registry


class RunFiles(Protocol):
    """The files of one run on each of its nodes."""

    @property
    def placed(self) -> Mapping[Node, tuple[object, ...]]:
        """Its nodes, the master's first, each with its slaves or processes."""

    def record(self) -> Allocation:
        """Return the run's allocation."""

    def started(self, node: Node) -> tuple[str, ...]:
        """Return the units to start on the node right after its files are there. They pull in the others."""

    def archive(self, node: Node, etcd: Etcd, registry: Registry, timing: NodeTiming) -> bytes:
        """Return the node's files as a tar archive."""


class Scheduler(ABC):
    """The scheduler of a daemon, safe to use from any thread."""

    @abstractmethod
    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """Return the units that would be submitted if the job were placed now."""

    @abstractmethod
    def never_fits(self, job: Job) -> str:
        """Return why there never will be room for the job, or "" when there can be."""

    @abstractmethod
    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """Return the job with a node for each slave; see `Engine.place`. The run is not submitted yet."""

    @abstractmethod
    def files(self, job: Job) -> RunFiles:
        """Return the files for the nodes of a placed job, with new ssh keys."""

    def begin(self) -> None:
        """Resume the work that earlier receivers left unfinished. Called once the receiver is up."""

    def start(self, _allocation: Allocation) -> Outcome | None:
        """Start the units that are not started yet. Called once all nodes have their files.

        Return how the run ended if it did so meanwhile. Raise UnitError when it cannot be started.
        """
        return None

    def start_master(self, allocation: Allocation) -> None:
        """Start mpirun, for engines whose master unit is not started by following it."""

    def clean_up(self, folder: Path) -> None:
        """Remove what the run in `folder` left anywhere except on its nodes."""
