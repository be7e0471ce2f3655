"""What a failed build is answered with: lines as gcc 12, gfortran 12 and make 4.3 write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildpacks.advice import Listener, of_program, of_ranks
from buildpacks.mpi_xml.manifest import Manifest


@pytest.mark.parametrize(
    ("line", "advised"),
    [
        ("a.c:1:10: fatal error: mpi/mpi.h: No such file or directory", "#include <mpi.h>"),
        ("/usr/bin/ld: a.c:(.text+0x2e): undefined reference to `ompi_mpi_comm_world'", "#include <mpi.h>"),
        ("a.c:1:10: fatal error: mpi.h: No such file or directory", "make CC=mpicc"),
        ("/usr/bin/ld: a.c:(.text+0x1e): undefined reference to `MPI_Init'", "make CC=mpicc"),
        ("a.c:4:10: fatal error: util.h: No such file or directory", "util.h is not in the tree"),
        ("/usr/bin/ld: a.c:(.text+0x1e): undefined reference to `sqrt'", "ldflags: -lm"),
        ("/usr/bin/ld: /tmp/a.o: undefined reference to symbol 'pow@@GLIBC_2.29'", "ldflags: -lm"),
        ("/usr/bin/ld: a.c:(.text+0x9): undefined reference to `omp_get_num_threads'", "-fopenmp"),
        ("/usr/bin/ld: b.o:(.bss+0x0): multiple definition of `grid'; a.o:(.bss+0x0): first", "-fcommon"),
        ("/usr/bin/ld: cannot find -lfftw3: No such file or directory", "fftw3 is not installed"),
        ("make: *** No targets specified and no makefile found.  Stop.", "make -C"),
        ("sh: 1: cmake: not found", "not installed"),
        ("/bin/sh: 1: mpixlc: not found", "not installed"),
        ("make: nvcc: No such file or directory", "not installed"),
        ("a.c:3:5: error: expected ';' before 'return'", "lines above"),
    ],
)
def test_a_known_line_is_answered_with_what_to_do(line: str, advised: str) -> None:
    listener = Listener()
    listener.hear(line)
    assert advised in listener.hint


def test_the_cause_counts_more_than_what_follows_from_it() -> None:
    listener = Listener()
    for line in ("sh: 1: makedepend: not found", "a.c:1:10: fatal error: mpi.h: No such file or directory"):
        listener.hear(line)
    listener.hear("make: *** [Makefile:3: a] Error 1")
    assert "mpicc" in listener.hint


@pytest.mark.parametrize(
    ("symbols", "manifest", "said"),
    [
        (b"\0MPI_Init\0MPI_File_open\0", Manifest(), True),
        (b"\0mpi_file_open_\0", Manifest(args=("out.bin",)), True),
        (b"\0MPI_File_open\0NAP_SHARE\0", Manifest(), False),
        (b"\0MPI_File_open\0", Manifest(args=("$NAP_SHARE/out.bin",)), False),
        (b"\0MPI_File_open\0", Manifest(run='mpirun ./a "$NAP_SHARE"'), False),
        (b"\0MPI_File_open\0", Manifest(env=(("OUT", "${NAP_SHARE}"),)), False),
        (b"\0MPI_Init\0", Manifest(), False),
    ],
)
def test_mpi_io_is_told_of_the_shared_folder(
    symbols: bytes, manifest: Manifest, said: bool, tmp_path: Path
) -> None:
    program = tmp_path / "a"
    program.write_bytes(symbols)
    assert ("$NAP_SHARE" in of_program(program, manifest)) == said


@pytest.mark.parametrize(
    ("content", "library", "manifest", "said"),
    [
        (b"\x7fELF printf", b"", Manifest(hosts=3), True),
        (b"\x7fELF libmpi.so.40 MPI_Init", b"", Manifest(hosts=3), False),
        # Linked into it, where no name of a library is; and by a library of the tree.
        (b"\x7fELF MPIR_Err_create_code", b"", Manifest(np=2), False),
        (b"\x7fELF libsolver.so", b"\x7fELF MPI_Init", Manifest(hosts=3), False),
        (b"#!/bin/sh\n", b"", Manifest(hosts=3), False),
        (b"PK\x03\x04 a jar", b"", Manifest(hosts=3), False),
        (b"\x7fELF printf", b"", Manifest(hosts=1), False),
        (b"\x7fELF printf", b"", Manifest(hosts=3, run="./a"), False),
    ],
)
def test_a_compiled_program_of_several_ranks_without_mpi_is_told_of(
    content: bytes, library: bytes, manifest: Manifest, said: bool, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "libsolver.so.1").write_bytes(library)
    assert ("has no MPI in it" in of_ranks(tmp_path / "a", tmp_path, manifest)) == said
