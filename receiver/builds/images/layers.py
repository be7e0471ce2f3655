"""A compiled tree becomes a build context: what seldom changes apart, so that a push carries little else.

A layer goes to the registry whole. Large files that came with the commit, and Python's libraries, are
the same after a change of source: in a layer of their own, of equal bytes, they are there already.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from buildpacks.packs.python_step import FOLDER as LIBRARIES

Mark = tuple[int, int]
PROGRAM, SETTLED, APP = "program", "settled", "app"
_LARGE = 1 << 20
# Times are in a layer's bytes. The first that zip files, and so wheels, can express.
_TIME = 315532800


def large_files(tree: Path) -> set[Mark]:
    """What marks the large files of a tree, wherever they are moved, for as long as they are not changed."""
    return {_mark(path) for path in _files(tree) if path.lstat().st_size >= _LARGE}


def lay_out(tree: Path, before: set[Mark]) -> tuple[Path, bool]:
    """Makes the context of `tree`, which is moved; and whether there is a settled part in it.

    `before` are the marks of the large files that came with the commit.
    """
    context = tree.with_name("context")
    program, settled = context / PROGRAM / APP, context / SETTLED / APP
    program.parent.mkdir(parents=True)
    tree.rename(program)
    moved = [path for path in _files(program) if before and _mark(path) in before]
    if (program / LIBRARIES).is_dir() and not (program / LIBRARIES).is_symlink():
        moved = [*(path for path in moved if LIBRARIES not in path.parts), program / LIBRARIES]
    for path in moved:
        target = settled / path.relative_to(program)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    if moved:
        _settle(context / SETTLED, program)
    return context, bool(moved)


def _settle(root: Path, program: Path) -> None:
    """Give everything below `root` the same times, and its folders the modes they have in the program."""
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            os.utime(Path(folder, name), (_TIME, _TIME), follow_symlinks=False)
    for path in (root / APP).rglob("*/"):
        twin = program / path.relative_to(root / APP)
        if twin.is_dir() and not path.is_symlink():
            path.chmod(twin.stat().st_mode & 0o7777)
    (root / APP).chmod(program.stat().st_mode & 0o7777)


def _mark(path: Path) -> Mark:
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns


def _files(folder: Path) -> Iterator[Path]:
    """Of links none, nor what is in `.git`."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
