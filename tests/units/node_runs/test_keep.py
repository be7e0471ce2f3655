"""What a unit's first process on a node does with the output of its program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from units.nodes import scripts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keep").write_text(scripts.texts("keep")["keep"])
    (tmp_path / "output").write_text("said before\n")
    return tmp_path


def keep(folder: Path, text: str, *words: str, path: str = "") -> subprocess.Popen[str]:
    """A shell that is kept: `$0` is the folder."""
    command = ("sh", str(folder / "keep"), "sh", "-c", text, str(folder), *words)
    env = {**os.environ, "PATH": f"{path}{os.environ['PATH']}"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_what_it_says_is_kept_and_shown_and_its_exit_code_passes(folder: Path) -> None:
    kept = keep(folder, 'seq 100000 >>"$0/output"; exit 6')
    shown, _ = kept.communicate(timeout=60)
    said = "".join(f"{number}\n" for number in range(1, 100_001))
    assert (kept.returncode, shown) == (6, said)
    assert (folder / "output").read_text() == f"said before\n{said}"
    assert not (folder / "unkept").exists()


def test_what_looks_for_room_ends_with_the_program_also_where_it_misses_a_signal(folder: Path) -> None:
    command = ("sh", "-c", "trap '' TERM; exec sh \"$@\"", "sh", str(folder / "keep"), "sh", "-c", "exit 6")
    kept = subprocess.run(command, stdout=subprocess.PIPE, timeout=20, check=False)  # until nobody writes
    assert kept.returncode == 6


def test_who_is_told_to_end_ends_in_its_own_way_and_it_is_known(folder: Path) -> None:
    waits = 'trap "echo told >>$0/output; exit 9" TERM; echo up >>"$0/output"; while :; do sleep 0.1; done'
    kept = keep(folder, waits)
    assert kept.stdout
    assert kept.stdout.readline() == "up\n"
    kept.send_signal(signal.SIGTERM)
    assert kept.communicate(timeout=60)[0] == "told\n"
    assert kept.returncode == 9
    assert (folder / "told").exists()


def test_without_room_for_more_it_is_ended_and_that_is_said(folder: Path) -> None:
    """A `stat` of the test's own tells of room as long as there is a file `room`."""
    real = shutil.which("stat")
    own = folder / "bin"
    own.mkdir()
    room = f'[ -e {folder}/room ] && echo "9999999 * 1" || echo "4096 * 1"'
    script = f'#!/bin/sh\ncase $* in *--file-system*) {room} ;; *) exec {real} "$@" ;; esac\n'
    (own / "stat").write_text(script)
    (own / "stat").chmod(0o755)
    (folder / "room").touch()
    kept = keep(folder, 'echo up >>"$0/output"; exec sleep 1000', path=f"{own}:")
    assert kept.stdout
    assert kept.stdout.readline() == "up\n"
    (folder / "room").unlink()
    kept.communicate(timeout=60)
    assert kept.returncode == 128 + signal.SIGTERM
    assert (folder / "unkept").exists()


def told_to_end(folder: Path, runtime: str) -> int:
    """The exit code of what runs in a container `x`, as far as the node sees it."""
    (folder / "master").write_text(scripts.texts("master")["master"])
    (folder / "runtime").write_text(f"#!/bin/sh\n{runtime}\n")
    (folder / "runtime").chmod(0o755)
    client = 'echo up; until [ -e "$0/over" ]; do sleep 0.1; done; exit 5'
    runs = ("sh", str(folder / "master"), str(folder / "runtime"), "x", "sh", "-c", client, str(folder))
    with subprocess.Popen(runs, stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout
        assert master.stdout.readline() == "up\n"
        master.send_signal(signal.SIGTERM)
        return master.wait(60)


def test_what_runs_in_a_slaves_container_is_ended_there(folder: Path) -> None:
    asked = f'[ "$*" = "exec x /bin/sh /run/nap/end" ] && touch {folder}/over'
    assert told_to_end(folder, asked) == 5


def test_where_it_cannot_be_ended_there_its_client_is(folder: Path) -> None:
    assert told_to_end(folder, "exit 1") == 128 + signal.SIGTERM
