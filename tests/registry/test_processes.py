"""Processes that outlive who started them: real ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.processes import Detached, version_of

SLEEP = ("sleep", "600")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Detached]:
    process = Detached("the sleeper", tmp_path / "sleeper.lock", tmp_path / "sleeper.log")
    yield process
    process.stop()


def launch(process: Detached, version: str) -> int:
    with process.closed_door() as lock:
        assert lock.take()
        return process.launch(SLEEP, dict(os.environ), lock, lambda: True, version)


def test_one_of_the_same_version_stays(sleeper: Detached) -> None:
    pid = launch(sleeper, "one")
    assert not sleeper.stop_other("one")
    assert sleeper.pid() == pid


def test_one_of_another_version_is_ended(sleeper: Detached) -> None:
    launch(sleeper, "one")
    assert sleeper.stop_other("two")
    assert sleeper.pid() is None
    assert not sleeper.stop_other("two")


@pytest.mark.parametrize("left", [None, "77 one", "one", ""])
def test_one_that_left_no_record_of_its_version_is_ended(sleeper: Detached, left: str | None) -> None:
    """An older nap wrote none, and leaves that of a newer one."""
    launch(sleeper, "one")
    record = sleeper.lock.with_suffix(".version")
    record.unlink()
    if left is not None:
        record.write_text(left)
    assert sleeper.stop_other("one")


def test_it_starts_in_the_folder_of_its_lock(sleeper: Detached) -> None:
    pid = launch(sleeper, "")
    assert Path(f"/proc/{pid}/cwd").resolve() == sleeper.lock.parent.resolve()


def test_a_program_is_another_version_once_it_or_its_settings_are_others(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("one")
    versions = [version_of(str(program), "a"), version_of(str(program), "a"), version_of(str(program), "b")]
    program.write_text("another")
    versions.append(version_of(str(program), "a"))
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
