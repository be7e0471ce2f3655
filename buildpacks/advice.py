"""Hints for frequent compiler and make errors, for programs without MPI and for shared files of MPI-IO."""

import re
from dataclasses import dataclass
from pathlib import Path

from buildpacks.mpi_xml.manifest import Manifest, layout

_UNSAID = "The lines above say why."


@dataclass(frozen=True)
class Advice:
    """A pattern for an output line, and the hint for it; `\\1` in the hint is the pattern's first group."""

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
    """The best hint for the output lines of one build."""

    def __init__(self) -> None:
        self._best = len(_KNOWN)
        self._hint = _UNSAID

    def hear(self, line: str) -> None:
        """Read one output line. Of several matches, the earliest entry of the table wins."""
        for rank, known in enumerate(_KNOWN[: self._best]):
            if found := known.pattern.search(line):
                self._best, self._hint = rank, found.expand(known.hint)
                return

    @property
    def hint(self) -> str:
        """The hint; without a match, a pointer to the output itself."""
        return self._hint


# Names found in a program or library that connects to other ranks, through MPI or through its launcher. A
# program with MPI linked statically contains them too.
_KNOWS_OTHERS = re.compile(rb"MPI_|mpi_|MPIR|OMPI|libmpi|PMI_|PMIx|shmem_")
_COMPILED = b"\x7fELF"


def of_ranks(program: Path, tree: Path, manifest: Manifest) -> str:
    """Return a warning when a compiled program of several ranks contains no MPI, else "".

    Without MPI, each rank sees only itself. The libraries in `tree` are searched as well.
    """
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
    """Return a warning when a program uses MPI-IO and nothing mentions NAP_SHARE, else "".

    Each slave has a folder of its own, so ranks on other slaves would wait for a file that they do not have.
    """
    content = program.read_bytes()
    opens = b"MPI_File_open" in content or b"mpi_file_open_" in content
    written = " ".join((*manifest.args, manifest.run, *dict(manifest.env).values()))
    if not opens or b"NAP_SHARE" in content or "NAP_SHARE" in written:
        return ""
    return f"{program.name} uses MPI-IO: what its ranks open together has to be in $NAP_SHARE"
