"""What scripts and processes start with: what is nowhere, and what has the wrong line ends, is refused."""

import pytest
from support.trees import plant, refusal

from buildpacks import build
from buildpacks.detect import detect
from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs import commands
from buildpacks.plan import Plan, Process
from buildpacks.stacks import linkage
from buildpacks.stacks.stack import Stack

PLAIN = Stack("plain", "this machine", "plain", "machine")


def has_awk(command):
    """A PATH with one command on it."""
    return command in ("awk", "/usr/bin/awk")


def of_script(run):
    return Plan("", "mpi.xml", "openmpi", manifest=Manifest(hosts=1, run=run))


def of_process(command):
    return Plan("", "profile", "plain", processes=(Process("app", command),))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nosuch.sh", "nosuch.sh"),
        ("  ./a -n 3", "./a"),
        ("A=1 B='2' ./a", "./a"),
        ("mpirun ./a | tee x", "mpirun"),
        ("./a|tee x", "./a"),
        ("./a; ./b\nc", "./a"),
        ("./a\n./b", "./a"),
        ("A='1 2' ./a", ""),
        ("A=$(date +%s) ./a", ""),
        ("$NAP_APP/a", ""),
        ("f() { ./a; }", ""),
        ("[ -f x ] && ./a", ""),
        ("# what it does\n./a", ""),
        ("'./a b'", ""),
        ("", ""),
    ],
)
def test_the_first_command_of_a_text(text, word):
    assert commands.first(text) == word


@pytest.mark.parametrize("kind", [of_script, of_process])
@pytest.mark.parametrize(
    "text", ["nosuch.sh", "./made.sh 1", "bin/run", "/usr/bin/ruby x", "ruby x | tee y", "data"]
)
def test_what_is_neither_in_the_tree_nor_on_path_is_refused(tmp_path, kind, text):
    plant(tmp_path, {"mad.sh": "", "data/x": ""})
    with pytest.raises(BuildpackError) as error:
        commands.check(kind(text), tmp_path, has_awk)
    assert f"starts with {text.split()[0]}, which is neither in the tree nor on PATH" in refusal(error)
    assert ("Did you mean ./mad.sh?" in error.value.hint) == ("made" in text)


@pytest.mark.parametrize("kind", [of_script, of_process])
@pytest.mark.parametrize(
    "text",
    [
        "./made.sh 1",
        "bin/run",
        "awk x",
        "/usr/bin/awk x",
        "mpirun ./nosuch | tee x",
        "cd data && ./x",
        "../x",
        "$X/y",
        "",
    ],
)
def test_what_may_start_is_taken(tmp_path, kind, text):
    commands.check(kind(text), plant(tmp_path, {"made.sh": "", "bin/run": ""}), has_awk)


def test_a_file_of_the_tree_is_a_script_without_its_folder_and_a_process_with_it(tmp_path):
    plant(tmp_path, {"sweep.sh": ""})
    commands.check(of_script("sweep.sh 1"), tmp_path, has_awk)
    with pytest.raises(BuildpackError) as error:
        commands.check(of_process("sweep.sh 1"), tmp_path, has_awk)
    assert error.value.hint == "Did you mean ./sweep.sh?"


def test_what_a_buildpack_has_on_path_is_not_looked_for(tmp_path):
    packed = Plan("lua", "profile", "plain", processes=(Process("app", "lua main.lua"),), pack="lua@1")
    commands.check(packed, tmp_path, has_awk)


# --- Windows line ends ---


@pytest.mark.parametrize(
    "files",
    [
        {"mpi.xml": "run: ./x.sh\nhosts: 1\n", "x.sh": "#!/bin/sh\r\necho\r\n"},
        {"mpi.xml": "run: sh lib/x.sh | cat\nhosts: 1\n", "lib/x.sh": "echo\r\n"},
        {"mpi.xml": "run: mpirun ./rank\nhosts: 1\n", "rank": "#!/usr/bin/env bash\r\necho\r\n"},
        {"mpi.xml": "run: ./x.py\nhosts: 1\n", "x.py": "#!/usr/bin/env python3\r\n"},
        {"mpi.xml": "build: chmod +x x\nto: x\nhosts: 1\n", "x": "#!/bin/sh -e\r\necho\r\n"},
        {"profile": "web: ./x.sh\n", "x.sh": "#!/bin/sh\r\necho\r\n"},
    ],
)
def test_a_script_with_windows_line_ends_is_refused_with_the_cure(tmp_path, files):
    name = next(name for name in files if name not in ("mpi.xml", "profile"))
    with pytest.raises(BuildpackError) as error:
        carry_out(plant(tmp_path, files))
    assert f"{name} has Windows line ends (CRLF)" in refusal(error)
    assert f"sed -i 's/\\r$//' {name}" in error.value.hint
    assert ".gitattributes" in error.value.hint


def test_a_build_that_fails_over_line_ends_says_so(tmp_path):
    files = {"mpi.xml": "build: ./configure --fast\nto: x\nhosts: 1\n", "configure": "#!/bin/sh\r\ntrue\r\n"}
    with pytest.raises(BuildpackError) as error:
        carry_out(plant(tmp_path, files))
    assert "ended with exit code 1" in refusal(error)
    assert "configure has Windows line ends (CRLF)" in error.value.message


@pytest.mark.parametrize(
    "files",
    [
        {
            "mpi.xml": "build:\n- sed -i 's/\\r$//' x\n- sh x\nrun: ./x\nhosts: 1\n",
            "x": "#!/bin/sh\r\ntrue\r\n",
        },
        {"mpi.xml": "run: sed -i 's/\\r$//' x && ./x\nhosts: 1\n", "x": "#!/bin/sh\r\n"},
        {"mpi.xml": "run: echo x.py\nhosts: 1\n", "x.py": "#!/usr/bin/env python3\r\n"},
        {"mpi.xml": "run: cat notes.txt\nhosts: 1\n", "notes.txt": "a\r\n"},
        {"mpi.xml": "run: |\r\n  echo a\r\n  echo b\r\nhosts: 1\r\n"},
        {"profile": "app: echo a\r\n"},
    ],
)
def test_line_ends_that_are_no_harm_are_taken(tmp_path, files):
    carry_out(plant(tmp_path, files))


def carry_out(tree):
    """A build in the open, with what the machine has."""
    pack = detect(tree)
    (tree / "x").exists() and (tree / "x").chmod(0o755)
    (tree / "configure").exists() and (tree / "configure").chmod(0o755)
    env = build.environment(PLAIN, {"PATH": "/usr/bin:/bin"})
    site = build.BuildSite(
        build.Folders(tree, tree, tree), build.in_the_open(tree, env, str), linkage.on_this_machine({}),
        finds=commands.on_path(env["PATH"]),
    )  # fmt: skip
    return build.carry_out(pack, pack.plan(tree), PLAIN, tree, site)
