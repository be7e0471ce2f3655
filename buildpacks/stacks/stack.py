"""A stack: where a tree is compiled and run: the machine itself with some MPI's tools, or two images."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stack:
    """A place to compile and run.

    `flavour` is `openmpi5`, `openmpi4`, `mpich` or `plain`, `origin` is `machine`, `wheel` or `image`. `bin`
    comes first on PATH, `env` is for builds and runs. `libmpi` is the library programs are to be linked to (a
    path, or a bare name where only the linker knows it). `key` changes when a build's result may.
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
        """Whether it compiles Fortran."""
        return self.bin is not None and (self.bin / "mpifort").exists()
