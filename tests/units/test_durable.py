"""Files that are whole or not there, and whose room is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from units import durable


@pytest.mark.parametrize("before", ["", "an older word that was longer"])
def test_a_file_has_what_was_written_last_and_nothing_else(before: str, tmp_path: Path) -> None:
    durable.write(tmp_path / "exit", before)
    durable.write(tmp_path / "exit", "new")
    assert (tmp_path / "exit").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["exit"]


def test_what_a_writer_left_that_was_killed_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "exit.new").write_text("half of something that was long")
    durable.write(tmp_path / "exit", "new")
    assert (tmp_path / "exit").read_text() == "new"


def test_a_file_is_written_where_room_was_kept_for_it(tmp_path: Path) -> None:
    path = tmp_path / "node1" / "hello.3.json"
    durable.keep_room(path)
    assert not path.exists()
    (kept,) = path.parent.iterdir()
    room = kept.stat()
    durable.write(path, "[]")
    assert room.st_size == 4096
    assert path.stat().st_ino == room.st_ino
    assert path.read_text() == "[]"


def test_the_file_is_on_the_disk_before_its_name_and_its_name_before_the_caller_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_ino, path.exists())))
    path = tmp_path / "exit"
    durable.write(path, "new")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
