"""The stack a tree is compiled and run on: the machine itself with an MPI's tools, or two images."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stack:
    """The tools and libraries to compile and run with.

    `flavour` is `openmpi5`, `openmpi4`, `mpich` or `plain`, `origin` is `machine`, `wheel` or `image`. `bin`
    comes first on PATH, `env` is for builds and runs. Programs must be linked to the library `libmpi` (a
    path, or a bare name when only the linker knows the path). `key` changes when a build's result can change.
    `build_image` has the compilers, `run_image` does not: references by digest, empty on the machine itself.
    """

    name: str
    title: str
    flavour: str
    origin: str
    bin: Path | None = None
    env: tuple[tuple[str, str], ...] = ()
    key: str = ""
    libmpi: str = ""
    build_image: str = ""
    run_image: str = ""

    @property
    def has_fortran(self) -> bool:
        """Whether the stack has an mpifort; False for stacks without a `bin`."""
        return self.bin is not None and (self.bin / "mpifort").exists()
