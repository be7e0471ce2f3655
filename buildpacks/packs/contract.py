"""The two halves of a plan, what builds a tree and what runs it, and their interfaces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.plan import Process, Step


@dataclass(frozen=True)
class HowToBuild:
    """How a tree is built; by default nothing has to be built."""

    built_by: str = ""
    stack: str = "plain"
    languages: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    lands_first: bool = False
    products: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    pack: str | None = None


@dataclass(frozen=True)
class HowToRun:
    """How a tree is run; by default that is known only after the build."""

    run_by: str = ""
    manifest: Manifest | None = None
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Released:
    """The processes and variables that a finished build adds."""

    processes: tuple[Process, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class BuildSide(Protocol):
    """A builder of trees."""

    @property
    def name(self) -> str:
        """The name of the file or the pack that builds."""

    def builds(self, tree: Path) -> bool:
        """Return whether it can build `tree`, without changing it."""

    def build(self, tree: Path, manifest: Manifest | None, /) -> HowToBuild:
        """Return how it builds `tree`. Can raise BuildpackError."""

    def release(self, tree: Path, alone: bool, /) -> Released:
        """Return what the built `tree` adds; `alone` when nothing else in the tree describes the run."""


class RunSide(Protocol):
    """A runner of trees."""

    def runs(self, tree: Path) -> bool:
        """Return whether it can run `tree`, from its files alone."""

    def run(self, tree: Path, compiles: bool, /) -> HowToRun:
        """Return how it runs `tree`; `compiles` when nothing else builds it. Can raise BuildpackError."""
