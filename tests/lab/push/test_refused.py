"""Trees that cannot run: each is pushed for real, refused with a sentence and a hint, and leaves nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.nap_home import App, NapHome

from buildpacks.stacks.mpi_wheel import WHEELS

pytestmark = pytest.mark.lab

HELLO = """\
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    puts("hello");
    MPI_Finalize();
    return 0;
}
"""
THREE_KEYS = "from: hello.c\nto: hello\nhosts: 2\n"
Files = dict[str, str | bytes]


@pytest.fixture(scope="module")
def app(home: NapHome, tmp_path_factory: pytest.TempPathFactory) -> App:
    """None of its pushes is ever accepted."""
    return home.app("refused", tmp_path_factory.mktemp("refused") / "tree")


def refused(app: App, files: Files, links: dict[str, str] | None = None) -> str:
    """What the pusher of a tree of these `files` sees, which has to be a refusal without a trace."""
    app.git("rm", "-rq", "--ignore-unmatch", ".")
    for name, target in (links or {}).items():
        (app.tree / name).symlink_to(target)
    app.commit(files)
    before = left_in(app)
    pushed = app.push()
    assert pushed.code == 1, pushed.out
    assert "[remote rejected]" in pushed.out
    assert pushed.out.count("nap: ") == 1, pushed.out
    assert "\n  hint: " in pushed.out, pushed.out
    assert "Traceback" not in pushed.out
    assert (app.runs(), app.home.json("releases", app.name)) == ([], [])
    assert left_in(app) == before
    assert not list((app.home.root / "scratch").glob("*"))
    return pushed.out


def left_in(app: App) -> set[Path]:
    """Images, builds and runs of the home, and the app's refs."""
    root = app.home.root
    found = [path for name in ("images", "builds", "runs") for path in (root / name).glob("*")]
    return {*found, *Path(app.remote).glob("refs/**/*")}


MANIFESTS = {
    "empty": ("", "mpi.xml is empty", "from: hello.c"),
    "not UTF-8": (b"from: h\xe9llo.c\n", "is not UTF-8 text", "Save it as plain UTF-8"),
    "XML": ("<mpi><from>hello.c</from></mpi>\n", "has XML in it", "from: hello.c"),
    "a list": ("- from: hello.c\n- to: hello\n", "it is a list", "without dashes"),
    "a YAML bomb": ("a: &a [x, x]\nb: [*a, *a]\n", "a reference", "in quotes"),
    "an alias loop": ("env: &a\n  X: *a\n", "a reference", "in quotes"),
    "10 MB": ("#" * 10_000_000, "larger than 64 KB", "beside it"),
    "no hosts": ("from: hello.c\nto: hello\n", "has no `hosts`", "hosts: 4"),
    "no from": ("to: hello\nhosts: 2\n", "has no `from`", "from: hello.c"),
    "hosts 0": (THREE_KEYS.replace("2", "0"), "line 3: `hosts` is `0`", "from 1 to 10000"),
    "hosts -1": (THREE_KEYS.replace("2", "-1"), "line 3: `hosts` is `-1`", "from 1 to 10000"),
    "hosts four": (THREE_KEYS.replace("2", "four"), "line 3: `hosts` is `four`", "from 1 to 10000"),
    "hosts 1e9": (THREE_KEYS.replace("2", "1e9"), "line 3: `hosts` is `1e9`", "from 1 to 10000"),
    "hosts 4.5": (THREE_KEYS.replace("2", "4.5"), "line 3: `hosts` is `4.5`", "from 1 to 10000"),
    "hosts true": (THREE_KEYS.replace("2", "true"), "line 3: `hosts` is `true`", "from 1 to 10000"),
    "out of the tree": (THREE_KEYS.replace("hello.c", "../a.c"), "it leaves the tree", "of the tree"),
    "absolute": (THREE_KEYS.replace("hello.c", "/etc/passwd"), "an absolute path", "of the tree"),
    "a missing file": (THREE_KEYS.replace("hello.c", "helo.c"), "names helo.c", "Did you mean hello.c?"),
    "to with a folder": (THREE_KEYS.replace("to: hello", "to: a/b"), "`to` is `a/b`", "a plain file name"),
    "to with a shell": ('from: hello.c\nto: "x; rm -rf ~"\n', "line 2: `to` is `x; rm -rf ~`", "a plain"),
    "an unknown key": (THREE_KEYS.replace("hosts", "host"), "line 3: there is no key `host`", "`hosts`?"),
    "no space": ("from:hello.c\n", "no `key: value` line", "`from: hello.c`"),
    "a number for MPI": (THREE_KEYS + "mpi: 5\n", "line 4: `mpi` is `5`", "`openmpi` or `mpich`"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "sentence", "hint"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_wrong_is_refused(
    app: App, manifest: str | bytes, sentence: str, hint: str
) -> None:
    seen = refused(app, {"hello.c": HELLO, "mpi.xml": manifest})
    said, _, advised = seen.partition("\n  hint: ")
    assert sentence in said
    assert hint in advised


def test_a_link_out_of_the_tree_is_refused(app: App) -> None:
    seen = refused(app, {"mpi.xml": THREE_KEYS}, links={"hello.c": "/etc/passwd"})
    assert "hello.c is a symlink that leads out of the tree" in seen
    assert "root:" not in seen


def test_two_files_for_one_place_are_refused(app: App) -> None:
    seen = refused(app, {"mpi.xml": THREE_KEYS, "src/hello.c": HELLO, "hello.c": HELLO})
    assert "src/hello.c and hello.c both land" in seen


def test_a_tree_that_says_nothing_is_refused_with_what_it_could_say(app: App) -> None:
    seen = refused(app, {"hello.c": HELLO})
    assert all(name in seen for name in ("Dockerfile", "pom.xml", "mpi.xml", "profile"))


def test_a_compilers_own_lines_are_shown(app: App) -> None:
    seen = refused(app, {"mpi.xml": THREE_KEYS, "hello.c": HELLO.replace('puts("hello");', "puts(greeting)")})
    assert "hello.c:5:10: error: 'greeting' undeclared" in seen.replace("‘", "'").replace("’", "'")
    assert "`mpicc -O2 hello.c -o hello` ended with 1" in seen


def test_a_known_complaint_comes_with_what_to_do(app: App) -> None:
    elsewhere = HELLO.replace("<mpi.h>", "<mpi4/mpi.h>")
    assert "`#include <mpi.h>`" in refused(app, {"mpi.xml": THREE_KEYS, "hello.c": elsewhere})
    makefile = "hello: hello.c\n\tcc -o hello hello.c\n"
    manifest = "build: make\nto: hello\nhosts: 2\n"
    assert "make CC=mpicc" in refused(app, {"mpi.xml": manifest, "hello.c": HELLO, "Makefile": makefile})


def test_a_script_that_is_nowhere_is_refused(app: App) -> None:
    for run in ("nosuch.sh", "./nosuch.sh 1 | tee log", "no-such-command -v"):
        seen = refused(app, {"mpi.xml": f"run: {run}\nhosts: 1\n"})
        assert f"`run` starts with {run.split()[0]}, which is neither in the tree nor on PATH" in seen


def test_a_script_with_windows_line_ends_is_refused(app: App) -> None:
    seen = refused(app, {"mpi.xml": "run: sweep.sh\nhosts: 1\n", "sweep.sh": "#!/bin/sh\r\nexit 0\r\n"})
    assert "sweep.sh has Windows line ends (CRLF)" in seen
    assert "sed -i 's/\\r$//' sweep.sh" in seen


def test_arguments_without_a_place_are_refused(app: App) -> None:
    seen = refused(app, {"mpi.xml": "run: echo a | cat\nhosts: 1\nargs: -n 3\n"})
    assert "the script of `run` does not say where they belong" in seen


def test_a_program_that_is_not_there_after_the_build_is_refused(app: App) -> None:
    manifest = "build: mpicc -o helo hello.c\nto: hello\nhosts: 2\n"
    seen = refused(app, {"mpi.xml": manifest, "hello.c": HELLO})
    assert "the program hello is not there after the build" in seen
    assert "helo" in seen.partition("hint: ")[2]


def test_a_program_of_another_mpi_is_refused(app: App, stacks: Path) -> None:
    other = stacks / WHEELS["mpich"].folder / "bin" / "mpicc"
    if not other.exists():
        pytest.skip("no second MPI is installed: the mpich example installs it")
    mpicc = app.home.root / "stacks" / other.relative_to(stacks)
    manifest = f"build: {mpicc} -o hello hello.c\nto: hello\nhosts: 2\n"
    seen = refused(app, {"mpi.xml": manifest, "hello.c": HELLO})
    assert "hello is linked to MPICH" in seen
    assert "`mpi: mpich`" in seen


def test_fortran_is_told_which_mpi_has_it(app: App) -> None:
    program = "program hello\nprint *, 'hello'\nend program\n"
    seen = refused(app, {"mpi.xml": THREE_KEYS.replace("hello.c", "hello.f90"), "hello.f90": program})
    assert "`mpi: auto`" in seen
    assert "apt-get install gfortran libopenmpi-dev openmpi-bin" in seen


def test_a_dockerfile_needs_containers(app: App) -> None:
    seen = refused(app, {"Dockerfile": "FROM debian:12\nCMD echo hello\n"})
    assert "containers" in seen
    assert "nap up --engine containers" in seen


def test_a_pom_without_mvn_is_told_what_to_install(own_home: NapHome, tmp_path: Path) -> None:
    own_home.env["PATH"] = str(path_without("mvn", tmp_path / "bin"))
    own_home.up()
    app = own_home.app("pom", tmp_path / "tree")
    seen = refused(app, {"pom.xml": "<project/>\n"})
    assert "apt-get install maven" in seen


def path_without(tool: str, folder: Path) -> Path:
    """A folder that has all the machine's tools but one."""
    folder.mkdir()
    for place in os.get_exec_path():
        for path in Path(place).glob("*"):
            if path.name != tool and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path)
    assert shutil.which(tool, path=str(folder)) is None
    return folder
