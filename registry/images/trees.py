"""Images by digest: compiled trees on this machine, each named by the digest of its content."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from registry.errors import RegistryError

_BLOCK = 1 << 20
YOUNG = 3600.0


@dataclass(frozen=True)
class Image:
    """The result of a build. `digest` is `sha256:<hex>`.

    A compiled tree is in the folder `tree`. An image of a container runtime has none: it is run by its
    `reference` (`HOST/NAME@sha256:...`), has its files in `workdir` and `env` as its environment. `flavour`
    is its MPI, as in `Stack`, if that is not the stack's.
    """

    digest: str
    tree: Path | None = None
    reference: str = ""
    workdir: str = "/app"
    flavour: str = ""
    env: tuple[tuple[str, str], ...] = ()


class ImageStore(Protocol):
    """The images of one home, of either kind."""

    def get(self, digest: str, /) -> Image:
        """Return the image. Raise RegistryError for one that is not there any more."""

    def has(self, digest: str, /) -> bool:
        """Return whether it is there."""

    def is_old(self, digest: str, /) -> bool:
        """Return whether it is older than an hour. A younger one can be of a push not accepted yet."""

    def renew(self, digest: str, /) -> None:
        """Make it young: a push that is not accepted yet has found it."""

    def digests(self) -> list[str]:
        """Return the digests of all images, in no order."""

    def remove(self, digest: str, /) -> None:
        """Remove it from the store. A missing one is no error."""


class Images:
    """Trees in `folder`. They are never changed, only added, and removed with `delete`."""

    def __init__(self, folder: Path, delete: Callable[[Path], object] = shutil.rmtree) -> None:
        self._folder = folder
        self._delete = delete

    def add(self, tree: Path) -> Image:
        """Move the folder `tree` into the store. If its content is there already, return that image."""
        digest = digest_of(tree)
        place = self._place(digest)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            tree.rename(place)
        except OSError:
            # It is there already, possibly from a build of the same content at the same time.
            if not place.is_dir():
                raise
            self.renew(digest)
        return Image(digest, place)

    def get(self, digest: str) -> Image:
        if not self.has(digest):
            raise RegistryError(f"the image {digest} is not there any more", "push the commit again")
        return Image(digest, self._place(digest))

    def has(self, digest: str) -> bool:
        return self._place(digest).is_dir()

    def renew(self, digest: str) -> None:
        os.utime(self._place(digest))

    def is_old(self, digest: str) -> bool:
        return time.time() - self._place(digest).stat().st_ctime > YOUNG

    def digests(self) -> list[str]:
        names = (path.name for path in self._folder.iterdir()) if self._folder.is_dir() else ()
        return [name.replace("-", ":", 1) for name in names]

    def remove(self, digest: str) -> None:
        if self.has(digest):
            self._delete(self._place(digest))

    def _place(self, digest: str) -> Path:
        return self._folder / digest.replace(":", "-", 1)


def digest_of(tree: Path) -> str:
    """Return `sha256:<hex>` over the paths, kinds, execute bits and contents of all files, in path order."""
    whole = hashlib.sha256()
    for path in sorted(_files(tree)):
        kind, content = _entry(path)
        name = os.fsencode(path.relative_to(tree))
        whole.update(b"%s %d %s\0%s\n" % (kind, len(name), name, content))
    return f"sha256:{whole.hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        yield Path(entry.path)


def _entry(path: Path) -> tuple[bytes, bytes]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return b"link", os.fsencode(path.readlink())
    if stat.S_ISDIR(mode):
        return b"folder", b""
    return (b"program" if mode & 0o100 else b"file"), _content(path)


def _content(path: Path) -> bytes:
    if not path.is_file():
        return b""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest().encode()
