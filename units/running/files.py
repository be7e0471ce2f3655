"""A run's folder: made before the run, kept in part after it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from units.errors import UnitError
from units.job import UnitFile

_THROWN_AWAY = ("places", "share", "app", "tmp", "files", "control", "lock", "pid", "hostfile", "hosts")
# What an engine notes of how far it came after a run's end, and what it has to say of that.
_OF_AN_END = ("remarks", "brought", "removed")


def make(folder: Path, units: tuple[UnitFile, ...], spec: str, others: Mapping[str, str]) -> None:
    """All of it anew: a receiver that died while it submitted may have left a part. `others` by name."""
    clear(folder)
    for name in ("units", "exit", "units.log", "pids", *_OF_AN_END):
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
    and neither is what a link names.
    """
    kept = []
    for label, root in _roots(folder.resolve(), spec["labels"]):
        for path in _matches(root, spec["results"], Path(spec["tree"])):
            target = folder / "results" / label / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            kept.append(target)
    return tuple(kept)


def _roots(folder: Path, labels: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Where a run's files are, each with what its results are kept under; the master's place first."""
    yield "share", folder / "share"
    for place in labels or sorted(path.name for path in (folder / "places").glob("*")):
        yield labels.get(place, place), _written(folder / "places" / place)


def _written(place: Path) -> Path:
    """Where the place's own files are: the overlay's upper folder, else the copy, wherever it is shared."""
    app = (place / "app").resolve()
    return app if any(app.glob("*")) else place / "changed"


def _matches(root: Path, patterns: Sequence[str], tree: Path) -> list[Path]:
    """A link to a folder may lead anywhere, or to what is matched already: only real paths count."""
    try:
        matched = [path for pattern in patterns for path in root.glob(pattern)]
        found = {path for match in matched for path in _files(match) if path.parent.resolve() == path.parent}
    except (OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise
        sentence = "the program left folders that are nested too deep to look for results in them"
        raise UnitError(sentence, "write results to a folder of their own: `results: out/*`") from error
    return sorted(path for path in found if _is_new(path, tree / path.relative_to(root)))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    else:
        yield path


def _is_new(path: Path, original: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if not original.is_file():
        return True
    mine, theirs = path.stat(), original.stat()
    return (mine.st_size, mine.st_mtime_ns) != (theirs.st_size, theirs.st_mtime_ns)


def clear(folder: Path) -> None:
    """Leave the record of the run: its output, its units, its results."""
    for name in _THROWN_AWAY:
        remove(folder / name)


def remove(path: Path) -> None:
    """Delete a file or a tree, also where a program or an overlay left folders nobody may enter.

    What is nested deeper than Python descends, or closed in several layers, is left to tools that can.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError, RecursionError):
        for folder, _, _ in os.walk(path, onerror=_open_up):
            os.chmod(folder, 0o700)
        shutil.rmtree(path)
        return
    for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        subprocess.run((*command, "--", path), stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _open_up(error: OSError) -> None:
    os.chmod(error.filename, 0o700)
