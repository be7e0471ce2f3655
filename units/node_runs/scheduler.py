"""What engines on nodes differ in: who says which node gets what, and who starts units there."""

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
    """All files of one run on each of its nodes."""

    @property
    def placed(self) -> Mapping[Node, tuple[object, ...]]:
        """Its nodes, the master's first, each with what it has of the run."""

    def record(self) -> Allocation:
        """Return where everything is."""

    def started(self, node: Node) -> tuple[str, ...]:
        """Return the units that are started there as soon as the files are; others come with them."""

    def archive(self, node: Node, etcd: Etcd, registry: Registry, timing: NodeTiming) -> bytes:
        """Return what the node is sent, as a tar archive."""


class Scheduler(ABC):
    """One a daemon; any thread may use it."""

    @abstractmethod
    def units(self, job: Job) -> tuple[UnitFile, ...]:
        """Return what would be submitted, as it would be placed now."""

    @abstractmethod
    def never_fits(self, job: Job) -> str:
        """Return why there never will be room for the job; empty where there may be."""

    @abstractmethod
    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """Return the job with a node for each slave; see `Engine.place`. The run was not submitted yet."""

    @abstractmethod
    def files(self, job: Job) -> RunFiles:
        """Return what the nodes of a placed job are sent. Its keys are new."""

    def begin(self) -> None:
        """The receiver is up: look after what earlier ones left to be done."""

    def start(self, _allocation: Allocation) -> Outcome | None:
        """Start what is not started yet, once all nodes have their files.

        Return how the run ended, if it did so meanwhile; UnitError when it cannot be started.
        """
        return None

    def start_master(self, allocation: Allocation) -> None:
        """Start mpirun, where its unit does not wait for its files."""

    def clean_up(self, folder: Path) -> None:
        """Remove what the run in `folder` has anywhere but on its nodes."""
