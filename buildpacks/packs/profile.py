"""The `name: command` lines of a profile (or Procfile)."""

import re
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import sources
from buildpacks.plan import Process

NAMES = ("profile", "Procfile")
_LARGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}", re.ASCII)
_LINE = re.compile(rf"({_NAME.pattern})\s*:\s*(.*)$", re.ASCII)
# Names in use by nap: slaves register under mpi, their units are slaves, and each process's folder has the
# files passwd and group.
_TAKEN = ("mpi", "slaves", "passwd", "group")
_ANNOUNCERS = "discovery"


def find(tree: Path) -> str | None:
    """Return the name of the tree's profile, or None."""
    return next((name for name in NAMES if (tree / name).is_file()), None)


def read(tree: Path, name: str) -> tuple[Process, ...]:
    """Return the processes of `tree`'s profile `name`. Raise BuildpackError when it is faulty."""
    sources.refuse_link(tree, name)
    with (tree / name).open("rb") as file:
        return parse(file.read(_LARGEST + 1), name)


def parse(data: bytes, name: str = "profile") -> tuple[Process, ...]:
    """Return a profile's processes in its order. A single line without a name is the process `app`.

    Raises:
        BuildpackError: the file is too large, not text or without lines, a line has another form, or a name
            is invalid, duplicate or reserved for nap.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(_text(data, name).splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise BuildpackError(f"{name} has no line in it", "Write `name: command` lines: `app: ./hello`.")
    if len(lines) == 1 and not _LINE.match(lines[0][1]):
        return (Process("app", lines[0][1]),)
    processes: dict[str, Process] = {}
    for number, line in lines:
        process = _process(line, f"{name}, line {number}")
        if process.name in processes:
            raise BuildpackError(
                f"{name}, line {number}: there are two processes `{process.name}`",
                "Give each its own name.",
            )
        processes[process.name] = process
    return tuple(processes.values())


def _process(line: str, where: str) -> Process:
    match = _LINE.match(line)
    if not match:
        raise BuildpackError(
            f"{where}: `{line[:60]}` is no `name: command` line",
            "A name has letters, digits, `-` and `_`, and a colon after it: `app: ./hello`.",
        )
    return checked(match[1], match[2], where)


def checked(name: str, command: str, where: str) -> Process:
    """Return the process. Raise BuildpackError for an invalid or reserved name, or an empty command.

    The name becomes a hostname, folders, units and a key.
    """
    if not _NAME.fullmatch(name):
        raise BuildpackError(
            f"{where}: {name!r} is no process name",
            "A name has up to 31 letters, digits, `-` and `_`, and begins with a letter.",
        )
    if not command.strip():
        raise BuildpackError(f"{where}: `{name}` has no command", f"Write one: `{name}: ./hello`.")
    if name in _TAKEN or name.startswith(_ANNOUNCERS):
        raise BuildpackError(
            f"{where}: `{name}` is no process name: nap calls something of its own so",
            "Give it another name; an MPI program is run by a mpi.xml.",
        )
    return Process(name, command)


def _text(data: bytes, name: str) -> str:
    if len(data) > _LARGEST:
        raise BuildpackError(f"{name} is larger than {_LARGEST // 1024} KB", "It holds a few lines.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BuildpackError(
            f"{name} is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})",
            "Save it as plain UTF-8 text.",
        ) from None
    if "\0" in text:
        raise BuildpackError(f"{name} has a NUL character in it", "Save it as plain UTF-8 text.")
    return text
