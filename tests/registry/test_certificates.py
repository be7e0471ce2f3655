"""The certificates of a home: what is damaged, or does not hold now, is made anew, and nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import certificates
from registry.certificates import Certificates, are_good, ensure

NAMES = ("ca", "server", "client")


def texts(folder: Path) -> dict[str, bytes]:
    return {name: Certificates(folder).cert(name).read_bytes() for name in NAMES}


def test_what_is_good_stays(tmp_path: Path) -> None:
    assert not are_good(tmp_path)
    ensure(tmp_path)
    before = texts(tmp_path)
    assert are_good(tmp_path)
    ensure(tmp_path)
    assert texts(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "anew"),
    [
        ("client.key", {"client"}),
        ("client.crt", {"client"}),
        ("server.key", {"server"}),
        ("ca.crt", set(NAMES)),
        ("ca.key", set(NAMES)),
    ],
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: path.unlink(),
    ],
)
def test_what_is_damaged_is_made_anew_with_what_hangs_on_it(
    tmp_path: Path, name: str, anew: set[str], damage: Callable[[Path], object]
) -> None:
    ensure(tmp_path)
    before = texts(tmp_path)
    damage(tmp_path / name)
    assert not are_good(tmp_path)
    ensure(tmp_path)
    assert are_good(tmp_path)
    after = texts(tmp_path)
    assert {each for each in NAMES if before[each] != after[each]} == anew


@pytest.mark.parametrize("year", [1990, 2090])
def test_what_was_made_while_the_clock_was_wrong_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Wrong:
            return cls(year, 1, 1, tzinfo=tz)

    with monkeypatch.context() as clock:
        clock.setattr(certificates.datetime, "datetime", Wrong)
        ensure(tmp_path)
    assert not are_good(tmp_path)
    ensure(tmp_path)
    assert are_good(tmp_path)
