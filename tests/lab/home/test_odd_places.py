"""Where nap is brought up: long paths, somebody else's home, another language, a shell with limits."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.containers.home as containers
from support.containers.home import SharedStacks
from support.nap_home import App, NapHome

from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MPI = "build: chmod +x x\nto: x\nhosts: 2\nresults: ['*.ött']\n"
PROGRAM = "#!/bin/sh\nhostname >$(hostname).ött; hostname\n"


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A folder whose path alone is longer than that of a socket may be."""
    return tmp_path / ("l" * 60) / ("o" * 60)


def push(home: NapHome, tree: Path) -> App:
    """What ranks say, and what they write, both come home."""
    app = home.app("odd", tree, {"mpi.xml": MPI, "x": PROGRAM})
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert app.lines() == ["odd-slave1", "odd-slave2"]
    names = [entry["name"] for entry in home.json("results", "odd")]
    assert names == ["slave1/odd-slave1.ött", "slave2/odd-slave2.ött"]
    return app


@pytest.fixture
def long_home(long: Path, stacks: Path) -> Iterator[NapHome]:
    home = NapHome(long / "home", stacks)
    (long / "tmp").mkdir()
    home.env["TMPDIR"] = str(long / "tmp")
    yield home
    home.down()


def test_a_home_and_a_folder_for_temporary_files_of_any_length(long_home: NapHome, tmp_path: Path) -> None:
    long_home.up()
    push(long_home, tmp_path / "tree")
    assert list(Path(long_home.env["TMPDIR"]).iterdir()) == []
    assert not list(long_home.root.rglob("*.notify"))


def test_a_service_in_a_home_of_any_length_on_podman(
    long: Path, image_stacks: SharedStacks, podman: Runtime, tmp_path: Path
) -> None:
    home = containers.new_home(long / "home", image_stacks, podman)
    try:
        home.up()
        push(home, tmp_path / "tree")
        server = "import http.server, os\nhttp.server.test(port=int(os.environ['PORT']))\n"
        app = home.app("web", tmp_path / "web", {"profile": "web: python3 server.py\n", "server.py": server})
        for _ in range(2):  # the second one takes the first one's port over, by a socket
            assert "web is up" in app.push().out
    finally:
        home.down()
        containers.forget(home, podman)


@pytest.fixture
def latin(tmp_path: Path) -> dict[str, str]:
    """The language of a person whose terminal has no UTF-8."""
    command = ("localedef", "-i", "en_US", "-f", "ISO-8859-1", str(tmp_path / "en_US.ISO-8859-1"))
    subprocess.run(command, check=True, capture_output=True)
    return {"LOCPATH": str(tmp_path), "LC_ALL": "en_US.ISO-8859-1", "LANG": "en_US.ISO-8859-1"}


def test_results_keep_their_names_in_a_language_without_utf_8(
    own_home: NapHome, latin: dict[str, str], tmp_path: Path
) -> None:
    own_home.env |= latin
    own_home.up()
    push(own_home, tmp_path / "tree")
    assert own_home.nap("results", "odd", "--to", str(tmp_path / "got")).code == 0
    assert (tmp_path / "got" / "slave1" / "odd-slave1.ött").read_text() == "odd-slave1\n"
    assert "slave1/odd-slave1.ött" in own_home.nap("results", "odd").out


@pytest.fixture
def nobodys(own_home: NapHome) -> NapHome:
    if os.geteuid() != 0:
        pytest.skip("only root may write what is somebody else's")
    owner = pwd.getpwnam("nobody")
    os.chown(own_home.root, owner.pw_uid, owner.pw_gid)
    return own_home


def test_root_leaves_a_home_that_is_somebody_elses_alone(nobodys: NapHome) -> None:
    before = sorted(nobodys.root.iterdir())
    for verb in ("up", "down"):
        ran = nobodys.nap(verb)
        assert ran.code == 1
        assert f"{nobodys.root} belongs to nobody, and this is root" in ran.err
        assert "hint: as nobody: nap up; or set NAP_HOME" in ran.err
    assert sorted(nobodys.root.iterdir()) == before
    os.chown(nobodys.root, 0, 0)


def test_root_makes_no_home_where_somebody_else_lives(nobodys: NapHome) -> None:
    nobodys.env["NAP_HOME"] = str(nobodys.root / ".nap")
    assert "belongs to nobody, and this is root" in nobodys.nap("up").err
    assert not (nobodys.root / ".nap").exists()
    os.chown(nobodys.root, 0, 0)


def limited(home: NapHome, limit: str) -> None:
    """Have the home's commands typed in a shell that has such a limit."""
    home.command = ("sh", "-c", f'{limit} && exec "$@"', "sh", *NapHome.command)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("ulimit -n 64", "this shell allows a process 64 open files, and nap needs 256"),
        ("ulimit -v 4000000", "this shell allows a process 3906 MB of addresses (ulimit -v), and nap's etcd"),
    ],
)
def test_a_shell_that_allows_too_little_is_told_what_is_needed(
    own_home: NapHome, limit: str, sentence: str
) -> None:
    limited(own_home, limit)
    ran = own_home.nap("up")
    assert ran.code == 1
    assert sentence in ran.err
    assert "hint: from one that allows more" in ran.err


@pytest.mark.parametrize(
    "limit", ["ulimit -n 256 && ulimit -v 13000000", "ulimit -Sn 64 && ulimit -Sv 4000000"]
)
def test_a_shell_that_allows_enough_will_do(own_home: NapHome, limit: str, tmp_path: Path) -> None:
    limited(own_home, limit)
    own_home.up()
    push(own_home, tmp_path / "tree")
