"""`nap up` of another nap than the one that was up: what runs stays, and the rest is of the new one."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import polling
from support.installed import other_nap
from support.nap_home import App, NapHome

from registry.discovery import daemon as discovery
from registry.etcd import server as etcd_server

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def other(own_home: NapHome, tmp_path: Path) -> Path:
    """Where the nap is that serves the home; its folder may be moved or removed."""
    folder = tmp_path / "other"
    own_home.command = other_nap(folder)
    own_home.up()
    return folder


def served_here(home: NapHome) -> NapHome:
    """By the nap of this checkout from now on."""
    home.command = NapHome.command
    return home


def echo(home: NapHome, tree: Path) -> App:
    return home.app("echo", tree, {"profile": "echo fine\n"})


def test_each_process_that_is_of_other_files_is_replaced(own_home: NapHome, other: Path) -> None:
    before = own_home.daemon(), discovery.pid(own_home.root)
    etcd = etcd_server.pid(own_home.root / "etcd")
    assert own_home.json("status")["version"] == "0.0.1"
    said = served_here(own_home).nap("up")
    assert "receiver stopped: it was started from other files than these" in said.out, said
    assert "discovery stopped: it was started from other files than these" in said.out
    assert own_home.json("status")["version"] != "0.0.1"
    after = own_home.daemon(), discovery.pid(own_home.root)
    assert not set(before) & set(after)
    assert etcd_server.pid(own_home.root / "etcd") == etcd
    assert len(own_home.nap("up").out.splitlines()) == 1
    assert (own_home.daemon(), discovery.pid(own_home.root)) == after


def test_processes_of_a_nap_that_left_no_word_of_its_version_are_replaced(own_home: NapHome) -> None:
    own_home.up()
    before = own_home.daemon(), etcd_server.pid(own_home.root / "etcd")
    for record in own_home.root.rglob("*.version"):
        record.unlink()
    own_home.up()
    assert not set(before) & {own_home.daemon(), etcd_server.pid(own_home.root / "etcd")}


def test_a_push_to_a_nap_that_was_moved_is_refused_until_it_is_up_again(
    own_home: NapHome, other: Path, tmp_path: Path
) -> None:
    app = echo(own_home, tmp_path / "tree")
    assert app.push("strict").code == 0
    moved = other.rename(tmp_path / "moved")
    app.commit({"profile": "echo again\n"})
    refused = app.push()
    assert refused.code == 1
    assert "nap: nap is not where it was when it was brought up, so this push was refused" in refused.out
    assert "hint: on the receiver, from where nap is now: nap up" in refused.out
    own_home.command = tuple(word.replace(str(other), str(moved)) for word in own_home.command)
    own_home.up()
    assert app.push("strict").code == 0
    assert app.logs("2") == "again\n"


def test_a_run_outlives_the_files_of_nap_it_began_with(
    own_home: NapHome, other: Path, tmp_path: Path
) -> None:
    """Also one whose ranks have still to be started."""
    gate = tmp_path / "gate"
    manifest = f"run: until [ -e {gate} ]; do sleep 0.1; done; mpirun sh rank\nhosts: 2\n"
    app = own_home.app("late", tmp_path / "tree", {"mpi.xml": manifest, "rank": "hostname\n"})
    assert app.push("detach").code == 0
    polling.until(lambda: app.runs()[0]["state"], "running")
    shutil.rmtree(other)
    served_here(own_home).up()
    assert own_home.json("status")["version"] != "0.0.1"
    gate.touch()
    assert app.wait() == 0
    assert app.lines() == ["late-slave1", "late-slave2"]


# --- a home of the first nap that had a ledger ---


def test_an_old_homes_apps_runs_and_settings_are_taken_over(own_home: NapHome, tmp_path: Path) -> None:
    own_home.up()
    app = echo(own_home, tmp_path / "tree")
    assert app.push("strict").code == 0
    own_home.down()
    make_old(own_home.root)
    own_home.settings("keep: 7\n")
    own_home.up()
    runs = app.runs()
    assert [(run["number"], run["state"], run["exit_code"]) for run in runs] == [
        (1, "succeeded", 0), (2, "failed", 3),
    ]  # fmt: skip
    assert own_home.json("config", "echo")["strict"] is True
    assert own_home.nap("run", "echo", "--release", "1").code == 0
    assert app.push("strict").code == 0
    assert [run["number"] for run in app.runs()] == [1, 2, 3, 4]


def make_old(home: Path) -> None:
    """What is in the home as an older nap has left it: another ledger, and no word of versions."""
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        commit, image = ledger.execute("SELECT commit_id, image FROM release").fetchone()
    for left in (*home.glob("ledger.db*"), *home.rglob("*.version")):
        left.unlink()
    (home / "daemon.read").write_text("0" * 64)
    text = Path(__file__).with_name("ledger_1.sql").read_text()
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        ledger.executescript(text.replace("COMMIT_ID", commit).replace("IMAGE", image))
