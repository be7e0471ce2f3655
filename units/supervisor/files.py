"""A run's folder: made before the run, kept in part after it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from units.errors import UnitError
from units.globs import fits
from units.job import UnitFile
from units.nofollow import Folder, let_owner_in

# Where agents note what becomes of mpirun's daemons.
DAEMONS = "daemons"
_PROGRAMS = ("places", "slaves", "share", "app", "tmp")
_THROWN_AWAY = (*_PROGRAMS, "files", "control", "lock", "pid", "hostfile", "agent", "hosts", "exit.new")
# What an engine notes of how far it came after a run's end, and what it has to say of that.
_OF_AN_END = ("remarks", "brought", "removed")


def make(folder: Path, units: tuple[UnitFile, ...], spec: str, others: Mapping[str, str]) -> None:
    """All of it anew: a receiver that died while it submitted may have left a part. `others` by name."""
    clear(folder)
    for name in ("units", "exit", "units.log", "pids", DAEMONS, *_OF_AN_END):
        remove(folder / name)
    for name in ("units", "places", "share", "app", "tmp"):
        (folder / name).mkdir(parents=True, mode=0o700)
    for unit in units:
        (folder / "units" / f"{unit.name}.json").write_text(unit.content)
    (folder / "run.json").write_text(spec)
    for name, content in others.items():
        (folder / name).write_text(content)
    os.mkfifo(folder / "control", 0o600)


def keep_results(folder: Path, spec: dict[str, Any]) -> tuple[Path, ...]:
    """Move what matches the run's globs to `results/share` and `results/slave<i>`, in that order.

    A folder stands for the files in it. A file that the run neither made nor changed is no result,
    and neither is a link. No step on the way to a file is one: a program could have made it.
    """
    kept: list[PurePath] = []
    if not spec["results"]:
        return ()  # what a rootless runtime's user wrote is given back only where it is asked for
    with Folder.at(folder) as run:
        for label, roots in _roots(run, spec["labels"]):
            for found in _there(run, roots):
                with found:
                    kept += sorted(_keep(run, found, PurePath("results", label), spec))
    return tuple(folder / path for path in kept)


def _roots(run: Folder, labels: Mapping[str, str]) -> Iterator[tuple[str, list[PurePath]]]:
    """What results are kept under, and where they may be; the master's place first.

    A place's own files are the overlay's upper folder, or a copy, which all places may share: `app`.
    """
    yield "share", [PurePath("share")]
    places = labels or sorted(run.folders(PurePath("places")))
    for number, place in enumerate(places):
        own = PurePath("places", place)
        shared = [] if number else [PurePath("app")]
        yield labels.get(place, place), [own / "app", own / "changed", *shared]


def _there(run: Folder, roots: Iterable[PurePath]) -> Iterator[Folder]:
    """A link is none of them."""
    for root in roots:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield run.enter(root)


def _keep(run: Folder, root: Folder, to: PurePath, spec: dict[str, Any]) -> Iterator[PurePath]:
    tree = Path(spec["tree"])
    try:
        for path, found, files in root.walk():
            names = [
                name for name, now in files.items()
                if fits(path / name, spec["results"]) and _is_new(now, tree / path / name)
            ]  # fmt: skip
            if names:
                with run.enter(to / path, make=True) as target:
                    for name in names:
                        found.move(name, target)
                        yield to / path / name
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        sentence = "the program left folders that are nested too deep to look for results in them"
        raise UnitError(sentence, "write results to a folder of their own: `results: out/*`") from error


def _is_new(now: os.stat_result, original: Path) -> bool:
    try:
        before = original.lstat()
    except OSError:
        return True  # it is not there, or can have no such name
    if not stat.S_ISREG(before.st_mode):
        return True
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def clear(folder: Path) -> None:
    """Leave the record of the run: its output, its units, its results."""
    for name in _THROWN_AWAY:
        remove(folder / name)


def remove(path: Path) -> None:
    """Delete a file or a tree, also where a program or an overlay left folders nobody may enter.

    No link is followed. What is nested deeper than Python descends is left to a tool that can.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError, RecursionError):
        let_owner_in(None, path)
        with Folder.at(path) as folder:
            folder.open_up()
        shutil.rmtree(path)
        return
    for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        subprocess.run((*command, "--", path), stdin=subprocess.DEVNULL, capture_output=True, check=False)
