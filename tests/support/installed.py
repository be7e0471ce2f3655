"""nap as others install it: a source archive and a wheel, in environments outside of this checkout."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.nap_home import ROOT, NapHome

import nap_start
from receiver.installed import PACKAGES


@dataclass(frozen=True)
class Installed:
    """A virtual environment with nap in it, which every user may read."""

    folder: Path

    @property
    def nap(self) -> Path:
        return self.folder / "bin" / "nap"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def serve(self, home: NapHome, cwd: Path) -> NapHome:
        """Have the home's commands be this nap's, typed in `cwd`, with nothing of the checkout in reach."""
        home.command, home.cwd = (str(self.nap),), cwd
        home.env = without_python(home.env)
        return home


@dataclass(frozen=True)
class Built:
    source: Path
    wheel: Path


def without_python(env: dict[str, str]) -> dict[str, str]:
    """Neither this test's own Python on PATH, nor anything that leads to its modules."""
    unwanted = {Path(sys.executable).parent, Path(sys.prefix) / "bin"}
    path = os.pathsep.join(word for word in env["PATH"].split(os.pathsep) if Path(word) not in unwanted)
    return {name: value for name, value in env.items() if not name.startswith("PYTHON")} | {"PATH": path}


def tracked(*folders: str) -> list[str]:
    """The files of the checkout, as git knows them; those that are new as well."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders)
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and os.path.lexists(ROOT / name)]


def build(folder: Path) -> Built:
    """`python -m build` of what a clean checkout has: the wheel is made from the source archive."""
    source = folder / "checkout"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    _do(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source))
    return Built(next(folder.glob("nap-*.tar.gz")), next(folder.glob("nap-*.whl")))


@contextmanager
def installed(archive: Path) -> Iterator[Installed]:
    """As `python3 -m venv` and `pip install` do it, and pipx likewise."""
    with tempfile.TemporaryDirectory(prefix="nap-installed-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        found = Installed(Path(name) / "environment")
        _do(interpreter(), "-m", "venv", str(found.folder))
        _do(str(found.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(archive))
        yield found


def interpreter() -> str:
    """This Python, or the system's of the same version where others may not enter its folder."""
    own = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in own.parents):
        return str(own)
    return f"/usr/bin/python3.{sys.version_info.minor}"


def _do(*command: str) -> None:
    done = subprocess.run(
        command, cwd="/", env=without_python(dict(os.environ)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done


def other_nap(folder: Path, version: str = "0.0.1") -> tuple[str, ...]:
    """The command of a nap in `folder` that is of another version, as one before an upgrade is."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    shutil.copy(ROOT / "nap_start.py", folder)
    (folder / "receiver" / "version.py").write_text(f'VERSION = "{version}"\n')
    return (*nap_start.BARE, str(folder / "nap_start.py"), "receiver.__main__")
