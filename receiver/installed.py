"""The identity of this installation. `nap up` replaces processes that another installation started."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import nap_start

PACKAGES = ("buildpacks", "receiver", "registry", "units")


@functools.cache
def version() -> str:
    """Return a digest of nap's files and their location, of its Python, and of the installed packages.

    A version number would not do: files also change without a release, for example in a clone.
    """
    root = Path(nap_start.__file__).resolve().parent
    digest = hashlib.sha256(repr((sys.executable, sys.version, str(root), *_beside())).encode())
    for path in sorted(_files(root)):
        digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    yield root / "nap_start.py"
    for package in PACKAGES:
        for path in (root / package).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield path


def _beside() -> list[str]:
    """Return the names of the installed packages' `.dist-info` folders, which contain the versions."""
    folders = [Path(folder) for folder in sys.path if Path(folder).is_dir()]
    return sorted(path.name for folder in folders for path in folder.glob("*.dist-info"))
