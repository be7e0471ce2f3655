"""Trees for the tests of buildpacks/: written down as a mapping of names to contents."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from buildpacks.errors import BuildpackError

HELLO_C = """\
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    printf("rank %d of %d\\n", rank, size);
    MPI_Finalize();
    return 0;
}
"""
THREE_KEYS = "from: hello.c\nto: hello\nhosts: 2\n"


def plant(tree: Path, files: Mapping[str, str]) -> Path:
    """Writes `files` into `tree`; shell scripts and what is in bin/ are executable."""
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if path.parent.name == "bin" or path.suffix == ".sh":
            path.chmod(0o755)
    return tree


def refusal(error: "pytest.ExceptionInfo[BuildpackError]") -> str:
    """Message and hint, as a user reads them; both have to be there."""
    assert error.value.message
    assert error.value.hint
    return f"{error.value.message}\n{error.value.hint}"
