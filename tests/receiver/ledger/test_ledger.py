"""The ledger: what is in it stays, is whole, and is the same for all threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.ledger.ledger import Ledger, Origin, Run, check, in_progress

# A ledger as nap 1 made it, with a run that has ended and one that has not.
_OF_VERSION_1 = """
CREATE TABLE app (name TEXT PRIMARY KEY, config TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE release (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE, number INTEGER NOT NULL,
    commit_id TEXT NOT NULL, image TEXT NOT NULL, plan TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (app, number)
);
CREATE TABLE run (
    app TEXT NOT NULL REFERENCES app(name) ON DELETE CASCADE, number INTEGER NOT NULL,
    commit_id TEXT NOT NULL, release INTEGER, options TEXT NOT NULL, state TEXT NOT NULL,
    exit_code INTEGER, reason TEXT NOT NULL, seconds TEXT NOT NULL, slaves INTEGER NOT NULL,
    np INTEGER NOT NULL, service INTEGER NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (app, number), FOREIGN KEY (app, release) REFERENCES release(app, number)
);
INSERT INTO app VALUES ('old', '{"keep": 3}', '2026-01-02T03:04:05.006+00:00');
INSERT INTO release VALUES ('old', 1, 'c1', 'sha256:1', '{}', '2026-01-02T03:04:06.006+00:00');
INSERT INTO run VALUES ('old', 1, 'c1', 1, '{"np": "8"}', 'failed', 3, 'so', '{"run": 0.5}', 2, 8, 0,
    '2026-01-02T03:04:07.006+00:00');
INSERT INTO run VALUES ('old', 2, 'c1', NULL, '{}', 'accepted', NULL, '', '{}', 0, 0, 0,
    '2026-01-02T03:04:08.006+00:00');
PRAGMA user_version = 1;
"""


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
    assert pragma(path, "user_version") == 2
    assert pragma(path, "journal_mode") == "wal"


@pytest.fixture
def old(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.executescript(_OF_VERSION_1)
    return path


def test_an_old_ledger_is_taken_over_with_all_it_has(old: Path) -> None:
    ledger = Ledger(old)
    assert ledger.app("old").config == {"keep": 3}
    assert ledger.get_release("old", 1).image == "sha256:1"
    ended, new = ledger.runs("old")
    assert ended == Run(
        "old", 1, "c1", 1, {"np": "8"}, "failed", 3, "so", {"run": 0.5}, 2, 8,
        accepted="2026-01-02T03:04:07.006+00:00",
    )  # fmt: skip
    assert (new.started, new.ended, new.has_ended) == (None, None, False)
    ledger.update(new, started="2026-01-02T03:04:09.006+00:00", slots=(2, 1), command=("mpirun x",))
    assert ledger.accept("old", "c2", {}, origin=Origin(who="ada", subject="a change")).number == 3
    ledger.close()
    assert [run.slots for run in Ledger(old).runs("old")] == [(), (2, 1), ()]
    assert pragma(old, "user_version") == 2


def test_what_has_not_ended_is_read_from_a_ledger_of_another_version_and_changes_nothing(old: Path) -> None:
    assert in_progress(old) == [("old", 2)]
    assert pragma(old, "user_version") == 1
    with sqlite3.connect(old) as database:
        database.execute("PRAGMA user_version = 99")
    assert in_progress(old) == [("old", 2)]
    assert in_progress(old.with_name("none.db")) == []
    assert not old.with_name("none.db").exists()


def test_a_number_is_above_all_that_is_known_elsewhere(ledger: Ledger) -> None:
    assert ledger.accept("hello", "c1", {}, origin=Origin(above=7)).number == 8
    assert ledger.accept("hello", "c1", {}, origin=Origin(above=7)).number == 9


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
    ledger.configure("hello", lambda config: config.update(branch="trunk", strict=True))
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


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10_000])


def scramble(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, scramble, make_folder])
def test_a_damaged_ledger_is_said_to_be_one(
    ledger: Ledger, path: Path, damage: Callable[[Path], None]
) -> None:
    for number in range(50):
        ledger.accept("hello", f"c{number}" * 100, {})
    ledger.close()
    check(path)
    damage(path)
    for read in (check, in_progress, lambda path: Ledger(path).runs("hello")):
        with pytest.raises(ReceiverError, match="is damaged: ") as caught:
            read(path)
        assert "put a backup in its place" in caught.value.hint


def test_a_ledger_that_is_not_there_is_not_damaged(tmp_path: Path) -> None:
    check(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
