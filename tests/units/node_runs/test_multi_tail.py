"""Outputs of several sources in one file: whoever goes on with it begins where each of them was."""

from __future__ import annotations

from pathlib import Path

import pytest

from units.node_runs.multi_tail import MultiTail, Source

SAID = (("web", b"one\n"), ("worker", b"two\n"), ("web", b"three\n"))


def kept(folder: Path) -> MultiTail:
    output = folder / "output"
    output.touch()
    return MultiTail(output)


def heard(folder: Path) -> MultiTail:
    pieces = kept(folder)
    for name, data in SAID:
        Source(pieces, name).add(data)
    return pieces


def test_pieces_are_kept_in_the_order_they_came(tmp_path: Path) -> None:
    pieces = heard(tmp_path)
    assert (tmp_path / "output").read_text() == "one\ntwo\nthree\n"
    assert [pieces.size(name) for name in ("web", "worker", "none")] == [10, 4, 0]


@pytest.mark.parametrize("written", range(len(b"three\n") + 1))
def test_a_piece_that_was_cut_off_is_gone_on_with_where_it_ends(tmp_path: Path, written: int) -> None:
    heard(tmp_path)
    output = tmp_path / "output"
    output.write_bytes(output.read_bytes()[: 8 + written])
    for _ in range(2):
        again = kept(tmp_path)
        assert (again.size("web"), again.size("worker")) == (4 + written, 4)
    again.add("web", b"three\n"[written:])
    assert output.read_text() == "one\ntwo\nthree\n"


def test_a_piece_that_was_only_half_announced_never_came(tmp_path: Path) -> None:
    heard(tmp_path)
    with (tmp_path / "pieces").open("a") as record:
        record.write("work")
    assert kept(tmp_path).size("worker") == 4


def test_what_did_not_find_room_is_counted_as_far_as_it_did(tmp_path: Path) -> None:
    pieces = heard(tmp_path)
    (tmp_path / "output").rename(tmp_path / "aside")
    (tmp_path / "output").mkdir()
    with pytest.raises(OSError, match="directory"):
        pieces.add("worker", b"four\n")
    (tmp_path / "output").rmdir()
    (tmp_path / "aside").rename(tmp_path / "output")
    assert (pieces.size("web"), pieces.size("worker")) == (10, 4)
