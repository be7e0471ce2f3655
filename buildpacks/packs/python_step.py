"""Python libraries: pip installs them into the tree's `.python`, where programs find them at run time."""

import re
import shlex
from pathlib import Path

from buildpacks.mpi_xml import sources
from buildpacks.plan import Step

FOLDER = ".python"
ENV = (("PYTHONPATH", "{app}/" + FOLDER),)
_IMPORT = re.compile(rb"^\s*(?:from|import)\s+mpi4py\b", re.MULTILINE)
_REQUIRED = re.compile(rb"^\s*mpi4py\b", re.MULTILINE | re.IGNORECASE)
# -I keeps the tree's files (a random.py, for example) from shadowing the standard library.
# The same libraries must give the same bytes. So compileall runs after pip, which would write its temporary
# folder into compiled modules; without SOURCE_DATE_EPOCH they would contain the time of their source.
# Compile errors are ignored: a module that does not compile is not imported.
_INSTALL = f"""\
"$0" -I -m "$@"
SOURCE_DATE_EPOCH=315532800 "${{PIP_PYTHON:-$0}}" -I -m compileall -qq {FOLDER} || :
"""
# The first release whose wheels load whichever MPI the environment names.
_MPI4PY = "mpi4py>=4"


def steps(tree: Path, lands_first: bool) -> tuple[Step, ...]:
    """Return the pip step of `tree`, or none: its requirements.txt, and mpi4py if a script imports it."""
    wanted: tuple[str, ...] = ()
    listed = sources.find(tree, "requirements.txt")
    if listed:
        sources.refuse_link(tree, str(listed.relative_to(tree)))
        wanted = ("-r", "requirements.txt" if lands_first else str(listed.relative_to(tree)))
    if _imports_mpi4py(tree) and not (listed and _REQUIRED.search(listed.read_bytes())):
        wanted = (*wanted, _MPI4PY)
    if not wanted:
        return ()
    pip = ("pip", "install", "--target", FOLDER, *wanted)
    quiet = ("-q", "--no-compile", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore")
    return (Step(("sh", "-ec", _INSTALL, "{python}", *pip, *quiet), shlex.join(pip)),)


def _imports_mpi4py(tree: Path) -> bool:
    scripts = (path for path in tree.rglob("*.py") if path.is_file() and not path.is_symlink())
    return any(_IMPORT.search(path.read_bytes()) for path in scripts)
