"""Match a path against patterns such as `*.csv`, `out/` or `**/*.csv`, without reading the file system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath, PurePosixPath


def fits(path: PurePath, patterns: Iterable[str]) -> bool:
    """Return whether a pattern matches the path, or a folder that contains it."""
    return any(_fits(path.parts, PurePosixPath(pattern).parts) for pattern in patterns)


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    # A nondeterministic automaton: `at` holds the positions in the pattern that the parts so far can reach.
    at = _past_stars({0}, pattern)
    for part in parts:
        at = _past_stars({_next(place, pattern) for place in at if _takes(place, pattern, part)}, pattern)
        if len(pattern) in at:
            return True
    return False


def _takes(place: int, pattern: Sequence[str], part: str) -> bool:
    if place == len(pattern):
        return True
    return pattern[place] == "**" or fnmatchcase(part, pattern[place])


def _next(place: int, pattern: Sequence[str]) -> int:
    return place if place == len(pattern) or pattern[place] == "**" else place + 1


def _past_stars(at: set[int], pattern: Sequence[str]) -> set[int]:
    """Add the positions after each `**` that is reached: it can stand for no part at all."""
    found = set(at)
    for place in range(len(pattern)):
        if place in found and pattern[place] == "**":
            found.add(place + 1)
    return found
