"""What to do about what compilers and make say most often, and about files that ranks open together."""

import re
from dataclasses import dataclass
from pathlib import Path

from buildpacks.mpi_xml.manifest import Manifest, layout

_UNSAID = "The lines above say why."


@dataclass(frozen=True)
class Advice:
    """A line that says what is wrong, and what to do; `\\1` is what the pattern's group matched."""

    pattern: re.Pattern[str]
    hint: str


_MATHEMATICS = r"(?:sqrt|pow|exp|log(?:10)?|sin|cos|tan|atan2?|sinh|cosh|tanh|fmod|floor|ceil|round)f?"
_KNOWN = (
    Advice(
        re.compile(r"fatal error: \w+/mpi\.h: No such file|undefined reference to .ompi_mpi_"),
        "The standard's header is `#include <mpi.h>`: the compiler wrappers know where it is.",
    ),
    Advice(
        re.compile(
            r"fatal error: mpi\.h: No such|open module file .mpi\w*\.mod|undefined reference to .MPI_"
        ),
        "Compile and link with mpicc, mpicxx or mpifort; with a Makefile often: `build: make CC=mpicc`.",
    ),
    Advice(
        re.compile(r"fatal error: (\S+): No such file"),
        r"\1 is not in the tree (`git add`?), or a `-I` is missing: `cflags: -O2 -Iinclude`.",
    ),
    Advice(
        re.compile(rf"undefined reference to (?:symbol '{_MATHEMATICS}@|`{_MATHEMATICS}')"),
        "The mathematical functions are in a library of their own: `ldflags: -lm`.",
    ),
    Advice(
        re.compile(r"undefined reference to `(?:GOMP|omp)_"),
        "OpenMP has to be asked for twice: `cflags: -O2 -fopenmp` and `ldflags: -fopenmp`.",
    ),
    Advice(
        re.compile(r"multiple definition of `(\w+)'"),
        r"\1 is defined in several sources; C compilers of today refuse it without the flag `-fcommon`.",
    ),
    Advice(
        re.compile(r"cannot find -l([^\s:]+)"),
        r"The library \1 is not installed on the receiver's machine.",
    ),
    Advice(
        re.compile(r"\r[:'\"]|\$'\\r'|\^M: bad interpreter|/(?:env|\w*sh)\^M"),
        "A script has Windows line ends (CRLF): `sed -i 's/\\r$//' SCRIPT` changes them.",
    ),
    Advice(
        re.compile(r"Killed signal terminated program|java\.lang\.OutOfMemoryError"),
        "The build ran out of memory: containers.build_memory in the receiver's settings is its limit.",
    ),
    Advice(
        re.compile(r"No targets specified and no makefile found"),
        "There is no Makefile beside mpi.xml; one in a folder is meant by `build: make -C that/folder`.",
    ),
    Advice(
        re.compile(r"(\w[\w.+-]*): (?:command )?not found$|^make: (\w[\w.+-]*): No such file"),
        "The build runs on the receiver's machine, and that command is not installed there.",
    ),
)


class Listener:
    """Hears a build's lines, and has advice when one of them is known."""

    def __init__(self) -> None:
        self._best = len(_KNOWN)
        self._hint = _UNSAID

    def hear(self, line: str) -> None:
        """Of several known lines the one earliest in the table counts."""
        for rank, known in enumerate(_KNOWN[: self._best]):
            if found := known.pattern.search(line):
                self._best, self._hint = rank, found.expand(known.hint)
                return

    @property
    def hint(self) -> str:
        """What to do, or where to look."""
        return self._hint


# What is in a program, or a library of its own, that finds the other ranks by itself or by what launched it;
# also in one that has its MPI linked into it.
_KNOWS_OTHERS = re.compile(rb"MPI_|mpi_|MPIR|OMPI|libmpi|PMI_|PMIx|shmem_")
_COMPILED = b"\x7fELF"


def of_ranks(program: Path, tree: Path, manifest: Manifest) -> str:
    """A sentence about a compiled program of several ranks without any MPI: each is the only one it knows."""
    ranks = sum(layout(manifest))
    content = program.read_bytes()
    if manifest.run or ranks < 2 or not content.startswith(_COMPILED):
        return ""
    libraries = (path for path in tree.rglob("*.so*") if path.is_file() and not path.is_symlink())
    if _KNOWS_OTHERS.search(content) or any(_KNOWS_OTHERS.search(path.read_bytes()) for path in libraries):
        return ""
    return (
        f"{program.name} has no MPI in it: it runs {ranks} times, and none knows of the others. "
        "Was it to be compiled with mpicc?"
    )


def of_program(program: Path, manifest: Manifest) -> str:
    """A sentence about a program that opens files with MPI-IO and has not heard of the shared folder.

    Each slave's folder is its own, so the ranks of the others would wait for a file that is not theirs.
    """
    content = program.read_bytes()
    opens = b"MPI_File_open" in content or b"mpi_file_open_" in content
    written = " ".join((*manifest.args, manifest.run, *dict(manifest.env).values()))
    if not opens or b"NAP_SHARE" in content or "NAP_SHARE" in written:
        return ""
    return f"{program.name} uses MPI-IO: what its ranks open together has to be in $NAP_SHARE"
