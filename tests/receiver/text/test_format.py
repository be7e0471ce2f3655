"""How values look to people."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from receiver.errors import ReceiverError, explain
from receiver.text.format import age, ago, counted, duration, ending, pairs, size, table

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=timezone.utc)


def test_columns_stand_under_their_headings_without_trailing_blanks() -> None:
    lines = table(("APP", "RUN"), [("hello", 10), ("x", None)]).splitlines()
    assert lines == ["APP    RUN", "hello  10", "x      -"]


def test_a_name_with_a_line_end_stays_on_its_line() -> None:
    lines = table(("NAME",), [("new\nline \x1b[31m é \udce9",)]).splitlines()
    assert lines == ["NAME", "new\\nline \\x1b[31m é \udce9"]


def test_one_of_a_thing_has_no_s() -> None:
    assert [counted(number, "slave") for number in (0, 1, 2)] == ["0 slaves", "1 slave", "2 slaves"]


def test_no_pairs_are_no_lines() -> None:
    assert pairs({}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0, "now"),
        (1, "1 s ago"),
        (59, "59 s ago"),
        (150, "2 min ago"),
        (7200, "2 h ago"),
        (86400, "1 day ago"),
        (200_000, "2 days ago"),
    ],
)
def test_a_time_is_told_by_its_age(seconds: int, text: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


@pytest.mark.parametrize(
    "iso",
    [
        "2026-01-02T11:58:00Z",
        "2026-01-02T11:58:00",
        "2026-01-02T13:58:00+02:00",
        "2026-01-02T11:58:00.123456+00:00",
    ],
)
def test_every_iso_form_of_a_time_is_read(iso: str) -> None:
    assert ago(iso, NOW + timedelta(seconds=30)) == "2 min ago"


def test_how_long_something_runs_is_a_duration() -> None:
    assert age((NOW - timedelta(seconds=150)).isoformat(), NOW) == "2 min 30 s"
    assert age((NOW + timedelta(seconds=5)).isoformat(), NOW) == "0.00 s"
    assert age(None) is None


def test_no_time_has_no_age() -> None:
    assert ago(None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.149, "0.15 s"),
        (0.999, "1.0 s"),
        (1.25, "1.2 s"),
        (9.97, "10 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_a_duration_is_short_and_never_shows_sixty(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_340_000, "1.3 MB"),
        (85_000_000_000, "85 GB"),
        (999_999, "1.0 MB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_a_size_has_the_unit_that_keeps_it_short(count: int, text: str) -> None:
    assert size(count) == text


def test_the_end_of_a_run_that_never_ran_has_no_time_and_no_code() -> None:
    run = {"number": 1, "state": "failed", "exit_code": None, "seconds": {}, "reason": "no room"}
    assert ending("hello", run) == "hello run 1: failed (no room)"


def test_an_error_is_a_sentence_and_a_hint() -> None:
    assert explain(ReceiverError("it broke", "mend it")) == "nap: it broke\n  hint: mend it"


def test_an_error_without_hint_is_one_line() -> None:
    assert explain(ReceiverError("it broke")) == "nap: it broke"


def test_any_packages_error_is_told_by_its_message_and_hint() -> None:
    class UnitError(Exception):
        message = "no such engine"
        hint = "local"

    assert explain(UnitError()) == "nap: no such engine\n  hint: local"
