"""What nap is installed as. A process that was started from anything else is replaced by `nap up`."""

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
    """Of nap's files and where they are, of its Python, and of the packages it finds there.

    A number would have to be changed with each file, in a clone too.
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
    """The packages of this installation, each with its version in its name."""
    folders = [Path(folder) for folder in sys.path if Path(folder).is_dir()]
    return sorted(path.name for folder in folders for path in folder.glob("*.dist-info"))
