"""A run's folder: created before the run, and partly kept after it."""

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

# The file in which agents note starts and ends of mpirun's daemons.
DAEMONS = "daemons"
_PROGRAMS = ("places", "slaves", "share", "app", "tmp")
_THROWN_AWAY = (*_PROGRAMS, "files", "control", "lock", "pid", "hostfile", "agent", "hosts", "exit.new")
# Files in which an engine records the progress of its work after a run's end, and its remarks on it.
_OF_AN_END = ("remarks", "brought", "removed")


def make(folder: Path, units: tuple[UnitFile, ...], spec: str, others: Mapping[str, str]) -> None:
    """Create the run's folder with its `units`, its `spec`, and the contents of `others` by file name.

    Old content goes first: a receiver that died while submitting can have left a part.
    """
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
    """Move the files that match the run's globs to `results/share` and `results/slave<i>`, in that order.

    Return their new paths. A folder stands for the files in it. Links are no results, nor are files that the
    run neither made nor changed. No link is followed on the way to a file: a program can have made it. Raise
    UnitError when folders are nested too deep.
    """
    kept: list[PurePath] = []
    if not spec["results"]:
        return ()  # without globs, a rootless runtime's files are unreadable until cleanup gives them back
    with Folder.at(folder) as run:
        for label, roots in _roots(run, spec["labels"]):
            for found in _there(run, roots):
                with found:
                    kept += sorted(_keep(run, found, PurePath("results", label), spec))
    return tuple(folder / path for path in kept)


def _roots(run: Folder, labels: Mapping[str, str]) -> Iterator[tuple[str, list[PurePath]]]:
    """Yield the name of each folder of results with the folders to search; the master's place comes first.

    A place's own files are in the overlay's upper folder `changed`, or in a copy, `app`, which all places can
    share.
    """
    yield "share", [PurePath("share")]
    places = labels or sorted(run.folders(PurePath("places")))
    for number, place in enumerate(places):
        own = PurePath("places", place)
        shared = [] if number else [PurePath("app")]
        yield labels.get(place, place), [own / "app", own / "changed", *shared]


def _there(run: Folder, roots: Iterable[PurePath]) -> Iterator[Folder]:
    """Yield those `roots` that are folders and no links."""
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
        return True  # the original does not exist, or cannot have such a name
    if not stat.S_ISREG(before.st_mode):
        return True
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def clear(folder: Path) -> None:
    """Delete all but the record of the run: its output, units and results."""
    for name in _THROWN_AWAY:
        remove(folder / name)


def remove(path: Path) -> None:
    """Delete a file or a tree, even with folders that a program or an overlay left without permissions.

    No link is followed. Trees nested deeper than Python's recursion limit are left to chmod and rm.
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
