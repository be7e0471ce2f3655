"""No terminal obeys what nap quotes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from receiver.errors import ReceiverError, explain
from receiver.printable import on_one_line, printable
from receiver.runs.story import Reader
from receiver.text.format import ending, table

EVIL = "a\x1b]0;title\x07\x9b31m\rb\x7f\x00\u202ec\udc9b"
SHOWN = "a\\x1b]0;title\\x07\\x9b31m\\rb\\x7f\\x00\\u202ec\\x9b"


def test_each_control_character_is_escaped() -> None:
    assert printable(EVIL) == SHOWN


@pytest.mark.parametrize("text", ["ünï ✓ 日本語 -----> x", "two\n\tlines", "caf\udce9", "👩‍💻"])
def test_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_value_in_a_table_stays_on_its_line() -> None:
    assert on_one_line("a\nb\t\x1b") == "a\\nb\\t\\x1b"
    assert table(["NAME"], [["x\n\x1b"]]) == "NAME\nx\\n\\x1b"


def test_errors_and_reasons_are_told_so() -> None:
    assert explain(ReceiverError(f"there is no {EVIL}", EVIL)) == f"nap: there is no {SHOWN}\n  hint: {SHOWN}"
    run = {"number": 1, "state": "failed", "exit_code": 1, "seconds": {}, "reason": EVIL}
    assert ending("hello", run) == f"hello run 1: failed, exit 1 ({SHOWN})"


def test_a_story_is_read_so_also_one_of_an_older_nap(tmp_path: Path) -> None:
    lines = [{"say": EVIL, "at": 0}, {"end": True, "at": 0}]
    (tmp_path / "story").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert [frame.say for frame in Reader(tmp_path).new() if not frame.end] == [SHOWN]
