"""Formats values for people: tables, times, sizes, a run's end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from receiver import clock
from receiver.printable import on_one_line

_AGES = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SIZES = ("B", "kB", "MB", "GB", "TB")
_WIDTH = 40
_DEFAULT_STATUS = {"timed out": 124, "cancelled": 130}


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align rows under their headings; None is shown as `-`."""
    lines = [headings, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def pairs(values: Mapping[str, object]) -> str:
    """Return one `name  value` line for each pair, with the values aligned."""
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{name.ljust(width)}  {_cell(value)}" for name, value in values.items())


def ago(created: str | None, now: datetime | None = None) -> str | None:
    """Return how long ago an ISO time was, such as `2 min ago`. A time without a zone is UTC."""
    if created is None:
        return None
    passed = _since(created, now)
    for unit, length in _AGES:
        if passed >= length:
            count = int(passed // length)
            plural = "s" if unit == "day" and count > 1 else ""
            return f"{count} {unit}{plural} ago"
    return "now"


def age(started: str | None, now: datetime | None = None) -> str | None:
    """Return the time since the ISO time `started`, formatted by `duration`."""
    return None if started is None else duration(max(0.0, _since(started, now)))


def _since(then: str, now: datetime | None) -> float:
    return (now or datetime.now(timezone.utc)).timestamp() - clock.seconds(then)


def duration(seconds: float) -> str:
    """Format seconds: `0.15 s`, `1.3 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    for below, digits in ((0.995, 2), (9.95, 1), (59.5, 0)):
        if seconds < below:
            return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, word: str) -> str:
    """Return a number with its noun: `1 slave`, `4 slaves`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def size(count: int) -> str:
    """Format a number of bytes in the decimal unit that keeps it short: `814 B`, `1.3 MB`."""
    amount = float(count)
    unit = _SIZES[0]
    for unit in _SIZES:
        if amount < 999.5 or unit == _SIZES[-1]:
            break
        amount /= 1000
    digits = 0 if unit == "B" or amount >= 9.95 else 1
    return f"{amount:.{digits}f} {unit}"


def shortened(text: str) -> str:
    """Cut a text to 40 characters, so that a table has room for other columns."""
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def release_name(number: int | None) -> str | None:
    return None if number is None else f"v{number}"


def ending(app: str, run: Mapping[str, Any]) -> str:
    """Describe a run's end in one line: `hello run 3: failed, exit 2, after 1.3 s (a rank died)`."""
    line = f"{app} run {run['number']}: {run['state']}"
    if run["exit_code"] is not None:
        line += f", exit {run['exit_code']}"
    if run["seconds"]:
        line += f", after {duration(sum(run['seconds'].values()))}"
    return f"{line} ({on_one_line(run['reason'])})" if run["reason"] else line


def has_ended(run: Mapping[str, Any]) -> bool:
    """Return whether a run has ended: only then does it have an exit code."""
    return run["exit_code"] is not None


def exit_status(run: Mapping[str, Any]) -> int:
    """Return the exit code of `nap wait`: the run's own, but never 0 for a run that failed.

    A service that is up counts as success.
    """
    if run["state"] in ("succeeded", "running"):
        return 0
    return run["exit_code"] or _DEFAULT_STATUS.get(run["state"], 1)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else on_one_line(str(value))
