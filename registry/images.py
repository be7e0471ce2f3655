"""Compiled trees on this machine, each under the digest of its content."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from registry.errors import RegistryError

_BLOCK = 1 << 20
_YOUNG = 3600.0


@dataclass(frozen=True)
class Image:
    """A compiled tree: `digest` is `sha256:<hex>` of its files, `tree` the folder that holds them."""

    digest: str
    tree: Path


class Images:
    """The images of one home, in `folder`. What is in there is never changed, only added and removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, tree: Path) -> Image:
        """Take the folder `tree` over; the same content again is the image that is there already."""
        image = self._image(digest_of(tree))
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            tree.rename(image.tree)
        except OSError:
            # There already, perhaps since a moment ago: the same was built twice at once.
            if not image.tree.is_dir():
                raise
        return image

    def get(self, digest: str) -> Image:
        image = self._image(digest)
        if not image.tree.is_dir():
            raise RegistryError(
                f"the image {digest} is not there any more", "push the commit again"
            )
        return image

    def has(self, digest: str) -> bool:
        return self._image(digest).tree.is_dir()

    def is_old(self, digest: str) -> bool:
        """Whether it has been there for an hour: a younger one may be of a push that is not accepted yet."""
        return time.time() - self._image(digest).tree.stat().st_ctime > _YOUNG

    def digests(self) -> list[str]:
        """What is there, in no order."""
        names = (path.name for path in self._folder.iterdir()) if self._folder.is_dir() else ()
        return [name.replace("-", ":", 1) for name in names]

    def _image(self, digest: str) -> Image:
        return Image(digest, self._folder / digest.replace(":", "-", 1))


def digest_of(tree: Path) -> str:
    """`sha256:<hex>` over the paths, kinds, execute bits and contents of all files, in path order."""
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
