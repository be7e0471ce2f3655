"""The ledger: what is in it stays, is whole, and is the same for all threads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    made = Ledger(path)
    made.add_app("hello")
    return made


def pragma(path: Path, name: str) -> object:
    with sqlite3.connect(path) as database:
        return database.execute(f"PRAGMA {name}").fetchone()[0]


def test_it_has_a_version_and_a_write_ahead_log(ledger: Ledger, path: Path) -> None:
    assert pragma(path, "user_version") == 1
    assert pragma(path, "journal_mode") == "wal"


def test_a_newer_ledger_is_left_alone(ledger: Ledger, path: Path) -> None:
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ReceiverError, match="version 99, newer than this nap knows"):
        Ledger(path)


def test_a_release_of_no_app_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ledger.release("nobody", "c1", "sha256:1", "{}")


def test_a_run_of_no_release_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ledger.accept("hello", "c1", {}, release=7)


def test_what_failed_has_changed_nothing(ledger: Ledger) -> None:
    with pytest.raises(ReceiverError, match="there is an app hello already"):
        ledger.add_app("hello")
    assert [app.name for app in ledger.apps()] == ["hello"]


def test_everything_is_there_again_after_a_restart(ledger: Ledger, path: Path) -> None:
    ledger.configure("hello", {"branch": "trunk", "strict": True})
    release = ledger.release("hello", "c1", "sha256:1", "{}")
    run = ledger.accept("hello", "c1", {"np": "8", "detach": ""}, release.number)
    run = ledger.update(run, state="failed", exit_code=3, reason="so", seconds={"run": 0.5}, slaves=2, np=8)
    ledger.close()
    again = Ledger(path)
    assert again.app("hello").config == {"branch": "trunk", "strict": True}
    assert again.releases("hello") == [release]
    assert again.runs("hello") == [run]


def test_the_same_commit_image_and_plan_is_the_same_release(ledger: Ledger) -> None:
    first = ledger.release("hello", "c1", "sha256:1", "{}")
    assert ledger.release("hello", "c1", "sha256:1", "{}") == first
    assert ledger.release("hello", "c2", "sha256:1", "{}").number == 2
    assert ledger.release("hello", "c1", "sha256:1", "{}").number == 3


def test_runs_that_many_threads_record_have_numbers_of_their_own(ledger: Ledger) -> None:
    def accept() -> None:
        for _ in range(20):
            ledger.update(ledger.accept("hello", "c1", {}), state="failed", exit_code=1)

    threads = [threading.Thread(target=accept) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.number for run in ledger.runs("hello")] == list(range(1, 101))
    assert ledger.unfinished() == []


def test_a_second_connection_sees_what_is_committed(ledger: Ledger, path: Path) -> None:
    ledger.accept("hello", "c1", {})
    assert [run.number for run in Ledger(path).unfinished()] == [1]


def test_the_latest_run_is_the_one_without_a_number(ledger: Ledger) -> None:
    with pytest.raises(ReceiverError, match="hello has not run yet") as caught:
        ledger.run("hello", None)
    assert caught.value.hint == "git push nap master"
    ledger.accept("hello", "c1", {})
    second = ledger.accept("hello", "c2", {})
    assert ledger.run("hello", None) == second
    assert ledger.run("hello", 1).commit_id == "c1"
    with pytest.raises(ReceiverError, match="hello has no run 9"):
        ledger.run("hello", 9)


def test_an_app_goes_with_all_that_was_its_own(ledger: Ledger) -> None:
    ledger.accept("hello", "c1", {}, ledger.release("hello", "c1", "sha256:1", "{}").number)
    ledger.remove_app("hello")
    assert (ledger.apps(), ledger.unfinished()) == ([], [])
    with pytest.raises(ReceiverError, match="there is no app hello"):
        ledger.runs("hello")
    ledger.add_app("hello")
    assert (ledger.releases("hello"), ledger.runs("hello")) == ([], [])


def test_a_disk_that_is_full_is_said_in_a_sentence(ledger: Ledger, path: Path) -> None:
    with sqlite3.connect(path) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    ledger._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ReceiverError, match="cannot be written: database or disk is full"):
        ledger.accept("hello", "c" * 100_000, {})
    ledger._database.execute("PRAGMA max_page_count = 100000")
    assert ledger.accept("hello", "c1", {}).number == len(ledger.runs("hello"))
