"""Readers of single values: each returns the checked value of a user's text, or raises ValueError.

A ValueError's text, when there is one, is more specific than the key's own "takes" sentence.
"""

import posixpath
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping

# A YAML value whose scalars are still the text that was written.
Raw = str | tuple[str, ...] | Mapping[str, str]
Reader = Callable[[Raw], object]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
# Some shells exit when one of these is set, or change their behaviour.
_SHELLS = {"BASHOPTS", "EUID", "IFS", "OLDPWD", "OPTIND", "PPID", "PWD", "SHELLOPTS", "UID"}
_LONGEST_TEXT = 16_384
_LONGEST_PATH = 1_024


def text(raw: Raw) -> str:
    """Return one string of at most 16384 characters; tabs and newlines are its only control characters."""
    if not isinstance(raw, str):
        raise ValueError("one value belongs here")
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n" for char in raw):
        raise ValueError("it has a control character in it")
    if len(raw) > _LONGEST_TEXT:
        raise ValueError(f"it is {len(raw)} characters long, and {_LONGEST_TEXT} are allowed")
    return raw


def required_text(raw: Raw) -> str:
    """Return a string that is not blank."""
    value = text(raw)
    if not value.strip():
        raise ValueError
    return value


def texts(raw: Raw) -> tuple[str, ...]:
    """Return a string or a list of strings as a tuple; none is blank and there is at least one."""
    if isinstance(raw, Mapping):
        raise ValueError("a value or a list belongs here")
    items = (raw,) if isinstance(raw, str) else raw
    if not items:
        raise ValueError("the list is empty")
    return tuple(required_text(item) for item in items)


def words(raw: Raw) -> tuple[str, ...]:
    """Return a list as a tuple; split a string as a shell does, without any expansion."""
    if isinstance(raw, Mapping):
        raise ValueError("a line or a list belongs here")
    if not isinstance(raw, str):
        return tuple(text(item) for item in raw)
    try:
        return tuple(shlex.split(text(raw)))
    except ValueError as error:
        raise ValueError(f"its quotes do not fit ({error})") from None


def whole(low: int, high: int) -> Reader:
    """Return a reader for whole numbers from `low` to `high` in plain digits."""

    def read(raw: Raw) -> int:
        if not re.fullmatch(r"0|[1-9][0-9]{0,11}", text(raw), re.ASCII):
            raise ValueError
        if not low <= (number := int(text(raw))) <= high:
            raise ValueError
        return number

    return read


def choice(*allowed: str) -> Reader:
    """Return a reader for one of the words `allowed`."""

    def read(raw: Raw) -> str:
        if raw not in allowed:
            raise ValueError
        return str(raw)

    return read


def duration(raw: Raw) -> int:
    """Return `90s`, `2h` or `1h30m` in seconds, from 1 second to 30 days."""
    value = text(raw)
    parts = re.findall(r"([0-9]{1,9})([smhd])", value, re.ASCII)
    units = [unit for _, unit in parts]
    if "".join(number + unit for number, unit in parts) != value or len(set(units)) < len(units):
        raise ValueError
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 1 <= seconds <= 30 * _UNITS["d"]:
        raise ValueError
    return seconds


def size(raw: Raw) -> int:
    """Return `512M` or `2G` in bytes (powers of 1024), from 1M to 64T."""
    match = re.fullmatch(r"([1-9][0-9]{0,9})([KMGT])(i?B)?", text(raw), re.ASCII)
    if not match:
        raise ValueError
    count: int = int(match[1]) * 1024 ** _POWERS[match[2]]
    if not 1024**2 <= count <= 64 * 1024**4:
        raise ValueError
    return count


def file_name(raw: Raw) -> str:
    """Return a file name of up to 100 letters, digits, `.`, `_` and `-`, the first not `.` or `-`."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", text(raw), re.ASCII):
        raise ValueError
    return str(raw)


def inside(path: str) -> str:
    """Return a relative path in normal form. Raise ValueError when it cannot be a path inside the tree."""
    if path.startswith("/"):
        raise ValueError("it is an absolute path")
    if path.startswith("-"):
        raise ValueError("it starts with a dash, which a compiler takes for an option")
    if len(path) > _LONGEST_PATH or any(len(part.encode()) > 255 for part in path.split("/")):
        raise ValueError("it is too long for a path")
    shortest = posixpath.normpath(path)
    if shortest == ".." or shortest.startswith("../"):
        raise ValueError("it leaves the tree")
    return shortest


def paths(raw: Raw) -> tuple[str, ...]:
    """Return a path or a list of paths inside the tree as a tuple without duplicates."""
    found = tuple(inside(item) for item in texts(raw))
    if len(set(found)) < len(found):
        raise ValueError("the same file is named twice")
    return found


def globs(raw: Raw) -> tuple[str, ...]:
    """Return patterns for files inside the app's folder; split a string as `words` does."""
    return tuple(inside(item) for item in texts(words(raw) if isinstance(raw, str) else raw))


def debian_packages(raw: Raw) -> tuple[str, ...]:
    """Return names of Debian packages; split a string at whitespace."""
    names = texts(tuple(raw.split()) if isinstance(raw, str) else raw)
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]{1,99}", name, re.ASCII):
            raise ValueError(f"`{name}` is no name of a Debian package")
    return names


def environment(raw: Raw) -> tuple[tuple[str, str], ...]:
    """Return pairs of variable and value, sorted by name. Names that nap or shells reserve are refused."""
    if not isinstance(raw, Mapping):
        raise ValueError
    for name in raw:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name, re.ASCII):
            raise ValueError(f"`{repr(name)[1:-1]}` cannot be a variable's name")
        if name.startswith("NAP_"):
            raise ValueError(f"`{name}`: names that start with NAP_ are nap's own")
        if name in _SHELLS:
            raise ValueError(f"`{name}`: that name is the shells' own")
    return tuple(sorted((name, text(value)) for name, value in raw.items()))
