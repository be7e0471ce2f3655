"""Check which MPI a program is linked to, and that it is the plan's."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.stacks.stack import Stack

Ldd = Callable[[Path], str]
"""Returns the output of `ldd` for a program of the tree, executed where the program will run."""

_SECONDS = 20
_LINE = re.compile(r"^\s*(libmpi(?:ch|_abi)?\.so\S*) => (not found|/\S.*?)(?: \(0x\w+\))?$", re.M)
_OWNERS = {
    "libmpi.so.40": "Open MPI",
    "libmpi.so.20": "an old Open MPI",
    "libmpi.so.12": "MPICH",
    "libmpich.so.12": "MPICH",
    "libmpi_abi.so.1": "MPICH",
    "libmpi_abi.so.0": "MPICH",
}


def on_this_machine(env: Mapping[str, str]) -> Ldd:
    """Return an `Ldd` for this machine, with `env` added to the environment."""

    def ldd(program: Path) -> str:
        try:
            return subprocess.run(
                ["ldd", str(program)], env={**os.environ, **env, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=_SECONDS, check=False,
            ).stdout  # fmt: skip
        except subprocess.TimeoutExpired:
            sentence = f"ldd did not say within {_SECONDS} s what {program.name} is linked to"
            raise BuildpackError(sentence, "is the machine overloaded? push it again") from None

    return ldd


def linked_mpi(program: Path, ldd: Ldd) -> Path | None:
    """Return the MPI library that `program` loads; None for scripts and programs without MPI.

    A library that the loader does not find is returned as its bare name.
    """
    with program.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
    match = _LINE.search(ldd(program))
    if match is None:
        return None
    return Path(match[1] if match[2] == "not found" else match[2])


def check(program: Path, stack: Stack, ldd: Ldd) -> None:
    """Raise BuildpackError when `program` is linked to another MPI than the stack's.

    Its ranks would not find each other: each would be rank 0 of 1.
    """
    library = linked_mpi(program, ldd) if stack.libmpi else None
    if library is None or _same(library, Path(stack.libmpi)):
        return
    wrong = f"{_owner(library)} ({library})" if library.is_absolute() else f"{library}, not found"
    raise BuildpackError(
        f"{program.name} is linked to {wrong}, the plan's stack is {stack.title}",
        "Compile with plain mpicc, mpicxx or mpifort, which are the stack's; or choose the other "
        "one in mpi.xml: `mpi: mpich` or `mpi: openmpi`.",
    )


def _same(library: Path, expected: Path) -> bool:
    if library.is_absolute() and expected.is_absolute():
        return library.resolve().parent == expected.resolve().parent
    return library.is_absolute() and _owner(library) == _owner(expected)


def _owner(library: Path) -> str:
    return _OWNERS.get(library.name, "another MPI")
