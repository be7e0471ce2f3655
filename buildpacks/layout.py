"""The layout of the app's folder: the files of `src/` move up beside everything else."""

import difflib
import os
from pathlib import Path

from buildpacks.errors import BuildpackError

_SOURCES = "src"
# When one of these is both in src/ and beside it, the one beside it is kept: people and build tools read
# these files, programs do not.
_NOTES = (
    "Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "meson.build",
    ".gitignore", ".gitattributes", ".gitkeep",
    "README", "README.md", "README.txt", "LICENSE", "COPYING",
)  # fmt: skip


def land(tree: Path) -> None:
    """Move the contents of `src/` up into the root of `tree` and replace `src` by a link to the root.

    So `src/x.c` still names the file. A second call does nothing.

    Raises:
        BuildpackError: a file in `src/` has the same name as a file beside it.
    """
    folder = tree / _SOURCES
    if folder.is_symlink() or not folder.is_dir():
        return
    check(tree)
    _mend_links(tree)
    for path in folder.iterdir():
        if os.path.lexists(tree / path.name):
            path.unlink()
        else:
            path.rename(tree / path.name)
    folder.rmdir()
    folder.symlink_to(".")


def check(tree: Path) -> None:
    """Raise BuildpackError when `land` would have two files for one name."""
    folder = tree / _SOURCES
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name in _NOTES and path.is_file():
            continue
        if os.path.lexists(tree / path.name):
            raise BuildpackError(
                f"{_SOURCES}/{path.name} and {path.name} both land at {path.name} in the app's folder",
                "What is in src/ lands beside everything else; rename one of the two.",
            )


def _mend_links(tree: Path) -> None:
    """Rewrite the relative links inside `src/` so that they keep their targets one level higher."""
    sources = tree.absolute() / _SOURCES
    for folder, folders, files in os.walk(sources):
        for link in (Path(folder) / name for name in folders + files):
            if link.is_symlink() and not link.readlink().is_absolute():
                target = Path(os.path.normpath(link.parent / link.readlink()))
                mended = os.path.relpath(_landed(target, sources), _landed(link.parent, sources))
                link.unlink()
                link.symlink_to(mended)


def _landed(path: Path, sources: Path) -> Path:
    return sources.parent / path.relative_to(sources) if path.is_relative_to(sources) else path


def find_product(tree: Path, name: str) -> Path:
    """Return the program `name` in the root of `tree`; link it there when it was built elsewhere in the tree.

    Raises:
        BuildpackError: the build left no such program or several, or `name` in the root is something else.
    """
    program = tree / name
    if _is_program(program):
        return program
    found = [path for path in _programs(tree) if path.name == name]
    if not found:
        raise _missing(tree, name)
    if len(found) > 1:
        places = ", ".join(str(path.relative_to(tree)) for path in found)
        raise BuildpackError(
            f"after the build there are several programs {name} ({places})",
            "Leave one of them, or copy the right one to the top folder at the end of `build:`.",
        )
    if os.path.lexists(program):
        raise BuildpackError(
            f"the program is {found[0].relative_to(tree)}, and {name} at the top is something else",
            "Copy the program there at the end of `build:`, or give it another name.",
        )
    program.symlink_to(found[0].relative_to(tree))
    return program


def _missing(tree: Path, name: str) -> BuildpackError:
    there = sorted({path.name for path in _programs(tree)})
    near = difflib.get_close_matches(name, there, n=3, cutoff=0.4) or there[:5]
    if (tree / name).is_file():
        return BuildpackError(
            f"{name} is there after the build and is not executable", f"Make it so: chmod +x {name}"
        )
    return BuildpackError(
        f"the program {name} is not there after the build",
        f"Executables in the tree: {', '.join(near)}; write one of them as `to:`."
        if near
        else "`to:` in mpi.xml names the file the build leaves.",
    )


def _is_program(path: Path) -> bool:
    """Return whether `path` is an executable file or one for an interpreter."""
    return path.is_file() and (os.access(path, os.X_OK) or path.suffix in (".py", ".jar"))


def _programs(tree: Path) -> list[Path]:
    """Return the programs of a tree in a fixed order, without hidden folders and symlinks."""
    found = []
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(folder) / name for name in sorted(files))
        found += [path for path in paths if not path.is_symlink() and _is_program(path)]
    return found
