"""Source files: their languages by file ending, and their places in the tree."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from buildpacks.errors import BuildpackError

C, CXX, FORTRAN, PYTHON = "C", "C++", "Fortran", "Python"
ENDINGS = {
    C: (".c",),
    CXX: (".cc", ".cpp", ".cxx", ".c++", ".cp", ".C"),
    FORTRAN: (
        ".f", ".for", ".ftn", ".f77", ".f90", ".f95", ".f03", ".f08",
        ".F", ".FOR", ".FTN", ".F77", ".F90", ".F95", ".F03", ".F08",
    ),
    PYTHON: (".py",),
}  # fmt: skip
_LANGUAGE = {ending: language for language, endings in ENDINGS.items() for ending in endings}


def language(name: str) -> str | None:
    """Return the language of a file by its ending, or None."""
    return _LANGUAGE.get(PurePosixPath(name).suffix)


def languages(names: Sequence[str]) -> tuple[str, ...]:
    """Return the known languages of some files, each once, in the order of `ENDINGS`."""
    found = {language(name) for name in names}
    return tuple(known for known in ENDINGS if known in found)


def is_python(name: str) -> bool:
    """Return whether a file is run without being compiled."""
    return language(name) == PYTHON


def refuse_unknown(names: Sequence[str]) -> None:
    """Raise BuildpackError for a file without a known compiler, or for Python among files to compile."""
    for name in names:
        if language(name) is None:
            raise BuildpackError(f"mpi.xml: `from` names {name}, and {_why_not(name)}", _allowed())
    if PYTHON in languages(names) and len(languages(names)) > 1:
        raise BuildpackError(
            "mpi.xml: `from` names Python files and files to compile",
            "Name one kind, or compile with commands of your own: `build: make`.",
        )


def _why_not(name: str) -> str:
    ending = PurePosixPath(name).suffix
    if ending.lower() in (".h", ".hh", ".hpp", ".hxx", ".inc", ".mod"):
        return "headers are found without being named"
    return f"no compiler is known for `{ending}` files" if ending else "it has no ending"


def _allowed() -> str:
    kinds = "; ".join(f"{name}: {' '.join(ends[:6])}" for name, ends in ENDINGS.items())
    return f"Sources end in ({kinds}); or build with a command of your own: `build: make`."


def find(tree: Path, name: str) -> Path | None:
    """Return the path of `name`, looked up in `src/` first and then in the root; None when it is missing."""
    for path in (tree / "src" / name, tree / name):
        if path.exists():
            return path
    return None


def check(tree: Path, wanted: Sequence[str], program: str) -> None:
    """Raise BuildpackError for a missing or irregular source, or a `program` named as a source or folder."""
    for name in wanted:
        path = find(tree, name)
        if path is None:
            raise BuildpackError(
                f"mpi.xml: `from` names {name}, and there is no such file", _near(tree, name)
            )
        refuse_link(tree, str(path.relative_to(tree)))
        if not path.is_file():
            raise BuildpackError(f"mpi.xml: `from` names {name}, which is a folder", "Name the files in it.")
        if name == program and not is_python(name):
            raise BuildpackError(
                f"mpi.xml: `to` is {program}, the name of a source file",
                "The program would be written over it; give it another name.",
            )
    if program and any(folder.is_dir() for folder in (tree / program, tree / "src" / program)):
        raise BuildpackError(
            f"mpi.xml: `to` is {program}, the name of a folder of the tree",
            "Give the program another name.",
        )


def refuse_link(tree: Path, name: str) -> None:
    """Raise BuildpackError when `name` leads out of the tree through a symlink, or to nothing."""
    try:
        (tree / name).resolve(strict=True).relative_to(tree.resolve())
    except ValueError:
        raise BuildpackError(
            f"{name} is a symlink that leads out of the tree",
            "Put a copy of the file into the tree.",
        ) from None
    except (OSError, RuntimeError):
        raise BuildpackError(
            f"{name} is a symlink that leads nowhere", "Put the file itself into the tree."
        ) from None


def names(tree: Path) -> list[str]:
    """Return the tree's files, sorted and named as in `from`: without a leading `src/`."""
    found = (
        os.path.relpath(Path(folder) / name, tree) for folder, _, files in os.walk(tree) for name in files
    )
    return sorted(name.removeprefix("src/") for name in found)


def _near(tree: Path, name: str) -> str:
    if " " in name:
        return f"Several files are a list: `from: [{', '.join(name.split())}]`."
    known = [path for path in names(tree) if language(path) is not None]
    near = difflib.get_close_matches(name, known, n=1) or [
        path for path in known if PurePosixPath(path).name == PurePosixPath(name).name
    ]
    if near:
        return f"Did you mean {near[0]}?"
    return f"The tree's sources are {', '.join(known[:8])}." if known else "Was it added with `git add`?"
