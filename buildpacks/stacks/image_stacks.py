"""Stacks as images: which one a plan needs, what it is built from, and what it contains.

Each has a Dockerfile with two stages, `run` and `build`. The plan's `packages` are added on top of both.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import sources
from buildpacks.plan import Plan
from buildpacks.stacks import debian_base, machine_mpi
from buildpacks.stacks.mpi_wheel import WHEELS, Wheel
from buildpacks.stacks.stack import Stack

FOLDER = Path(__file__).with_name("dockerfiles")
STAGES = ("run", "build")
INSTALLER = "packages.sh"
_PACKAGES = "packages.Dockerfile"
_FORTRAN = "-fortran"
_PYTHON_PACKAGE, _FORTRAN_PACKAGE = "python3", "gfortran"
_BUILD_ONLY = (
    "include/*", "bin/mpicc*", "bin/mpicxx*", "bin/mpic++*", "bin/mpiCC", "bin/opal_wrapper",
    "lib/libmpi.so", "lib/libmpi_abi.so", "share/*-wrapper-data.txt",
)  # fmt: skip
# Nothing loads these: libfabric's providers need libraries that the images lack, PMIx only libevent_core.
_UNUSED = ("lib/*/libfabric/*", "lib/openmpi/libevent-*", "lib/openmpi/libevent_extra-*")


@dataclass(frozen=True)
class Kind:
    """A stack with its own Dockerfile. `libmpi` is a path in its images, or a name their linker resolves."""

    title: str
    mpi: str = ""
    bin: Path | None = None
    libmpi: str = ""

    @property
    def wheel(self) -> Wheel | None:
        """The wheel whose files the stack contains."""
        return WHEELS[self.mpi] if self.bin else None

    @property
    def flavour(self) -> str:
        """`Stack.flavour`; empty for Debian's MPI, whose version depends on the base image."""
        if self.wheel:
            return self.wheel.flavour
        return "" if self.mpi else "plain"


def _of_wheel(wheel: Wheel) -> Kind:
    prefix = Path("/opt", wheel.name)
    library = str(prefix / "lib" / wheel.library)
    return Kind(f"{wheel.title} {wheel.version}", wheel.name, prefix / "bin", library)


KINDS = {
    **{name: _of_wheel(wheel) for name, wheel in WHEELS.items()},
    "maven": Kind("Java and Maven"),
    "plain": Kind("a shell and Python"),
    f"openmpi{_FORTRAN}": Kind("Debian's Open MPI", "openmpi", libmpi="libmpi.so.40"),
    f"mpich{_FORTRAN}": Kind("Debian's MPICH", "mpich", libmpi="libmpich.so.12"),
}


@dataclass(frozen=True)
class Recipe:
    """What the two images of a stack are built from.

    `base` is the setting, empty when the base is built from packages. `packages` are sorted. `key` changes
    whenever the images would.
    """

    name: str
    packages: tuple[str, ...] = ()
    base: str = ""

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def dockerfile(self) -> Path:
        """The stack's Dockerfile; with packages, the one that adds them to a stage of `plain`."""
        return FOLDER / (_PACKAGES if self.packages else f"{self.name}.Dockerfile")

    @property
    def plain(self) -> Recipe:
        """The same recipe without packages."""
        return Recipe(self.name, (), self.base)

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits over all inputs of the images."""
        files = (self.plain.dockerfile, self.dockerfile, FOLDER / INSTALLER)
        wheel = self.kind.wheel.folder if self.kind.wheel else ""
        texts = tuple(file.read_text() for file in files)
        parts = (self.name, texts, wheel, self.base_key, self.packages, platform.machine())
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def base_key(self) -> str:
        """The name of the base, or the key of the one built from packages."""
        return self.base or debian_base.key()

    def repository(self, stage: str) -> str:
        """Return the repository name of a stage's image in a registry."""
        return f"nap_{self.name}_{stage}"


def recipe(plan: Plan, base: str = "") -> Recipe:
    """Return the recipe for a plan, its languages and its packages.

    No wheel has Fortran bindings, so Fortran gets Debian's MPI.

    Raises:
        BuildpackError: there is no such stack.
    """
    packages = {*plan.packages, *((_PYTHON_PACKAGE,) if sources.PYTHON in plan.languages else ())}
    is_fortran = sources.FORTRAN in plan.languages or _FORTRAN_PACKAGE in packages
    name = f"{plan.stack}{_FORTRAN}" if is_fortran and plan.stack in WHEELS else plan.stack
    return Recipe(_known(name), tuple(sorted(packages)), base)


def named(name: str, base: str = "") -> Recipe:
    """Return the recipe `name` without packages. Raise BuildpackError when there is none."""
    return Recipe(_known(name), (), base)


def stack(recipe: Recipe, build_image: str, run_image: str, told: str = "") -> Stack:
    """Return the stack. `told` is `mpirun --version`'s output in its images, for kinds without flavour."""
    kind = recipe.kind
    title, flavour = kind.title, kind.flavour
    if not flavour:
        title, flavour = machine_mpi.identify(kind.mpi, told) or (kind.title, "plain")
    return Stack(
        name=recipe.name,
        title=title,
        flavour=flavour,
        origin="image",
        bin=kind.bin,
        env=(("MPI4PY_LIBMPI", kind.libmpi),) if kind.libmpi else (),
        key=f"{recipe.name} {build_image} {run_image}",
        libmpi=kind.libmpi,
        build_image=build_image,
        run_image=run_image,
    )


def stage_of(file: PurePosixPath) -> str | None:
    """Return the stage that needs a wheel's file (relative to the wheel's prefix), None when neither does."""
    if any(fnmatch.fnmatchcase(str(file), pattern) for pattern in _UNUSED):
        return None
    return "build" if any(fnmatch.fnmatchcase(str(file), pattern) for pattern in _BUILD_ONLY) else "run"


def _known(name: str) -> str:
    if name in KINDS:
        return name
    raise BuildpackError(f"there is no stack `{name}`", f"There are {', '.join(KINDS)}.")
