"""The two halves of a plan: what builds a tree, what runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.plan import Process, Step


@dataclass(frozen=True)
class HowToBuild:
    """How a tree is built; the default is that nothing has to be."""

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
    """How a tree is run; the default is that its build will tell."""

    run_by: str = ""
    manifest: Manifest | None = None
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Released:
    """What a finished build tells: its own processes and environment."""

    processes: tuple[Process, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class BuildSide(Protocol):
    """Answers "what builds it"."""

    @property
    def name(self) -> str:
        """The file or the pack that builds."""

    def builds(self, tree: Path) -> bool:
        """Whether it can build `tree`; only looks at files."""

    def build(self, tree: Path, manifest: Manifest | None, /) -> HowToBuild:
        """How it builds `tree`."""

    def release(self, tree: Path, alone: bool, /) -> Released:
        """What the built `tree` tells; `alone` when nothing else of the tree says how to run."""


class RunSide(Protocol):
    """Answers "what runs it"."""

    def runs(self, tree: Path) -> bool:
        """Whether it can run `tree`; only looks at files."""

    def run(self, tree: Path, compiles: bool, /) -> HowToRun:
        """How it runs `tree`; `compiles` when nothing else builds it."""
