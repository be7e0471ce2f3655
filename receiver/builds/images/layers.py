"""Turns a compiled tree into a build context, in which files that seldom change have a layer of their own.

A layer is always pushed whole. Large files of the commit and Python's libraries stay the same when only the
source changes. In their own layer, with equal bytes, they are already in the registry.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from buildpacks.packs.python_step import FOLDER as LIBRARIES

Mark = tuple[int, int]
PROGRAM, SETTLED, APP = "program", "settled", "app"
_LARGE = 1 << 20
# File times are part of a layer's bytes, so all get this one: 1980, the first that zip files (wheels) have.
_TIME = 315532800


def large_files(tree: Path) -> set[Mark]:
    """Return marks of the tree's large files (1 MiB and more). A mark survives a move, but not a change."""
    return {_mark(path) for path in _files(tree) if path.lstat().st_size >= _LARGE}


def lay_out(tree: Path, before: set[Mark]) -> tuple[Path, bool]:
    """Move `tree` into a new context; return that folder, and whether it has a settled part.

    `before` has the marks of the large files that came with the commit.
    """
    context = tree.with_name("context")
    program, settled = context / PROGRAM / APP, context / SETTLED / APP
    program.parent.mkdir(parents=True)
    tree.rename(program)
    moved = [path for path in _files(program) if before and _mark(path) in before]
    if (program / LIBRARIES).is_dir() and not (program / LIBRARIES).is_symlink():
        others = (path for path in moved if LIBRARIES not in path.relative_to(program).parts)
        moved = [*others, program / LIBRARIES]
    for path in moved:
        target = settled / path.relative_to(program)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    if moved:
        _settle(context / SETTLED, program)
    return context, bool(moved)


def _settle(root: Path, program: Path) -> None:
    """Set equal times on everything below `root`, and copy the modes of its folders from the program."""
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
    """Yield all regular files below `folder`. Symbolic links are neither yielded nor followed."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
