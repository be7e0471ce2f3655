"""Files in folders that a program can write to: none is opened, moved, made or removed through a link.

Each step of a path is opened by itself, relative to the folder before it, so that no link that a program
made can lead elsewhere. Links, devices and the like do not count as files. Uses the standard library alone.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, cast

from units.errors import UnitError

if TYPE_CHECKING:
    import tarfile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Each level takes a descriptor and a stack frame.
_DEEPEST = 400
_HERE = PurePath()
_LATEST = 1 << 40  # seconds since 1970: an archive can contain any number


class NoArchive(UnitError):
    """What was to be unpacked is no archive, or an incomplete one."""


class Content(NamedTuple):
    """A folder's regular files by name. `folder` is open only until the walk goes on."""

    path: PurePath
    folder: Folder
    files: dict[str, os.stat_result]


class Readable(Protocol):
    """A stream of bytes: a file, a pipe."""

    def read(self, size: int, /) -> bytes:
        """Return at least one byte, or none at the end."""


class Folder:
    """An open folder, used in a `with`. Paths are relative to it. Raises OSError when a step is a link."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Folder:
        """Open the folder, which is not a link. The caller makes sure that its parents are none either."""
        return cls(os.open(path, _FOLDER))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def enter(self, path: PurePath, make: bool = False) -> Folder:
        """Open the folder at `path`. With `make`, make it and its parents if they are missing."""
        if path.is_absolute() or ".." in path.parts:
            raise OSError(errno.EXDEV, "it leaves the folder", str(path))
        at = os.dup(self._descriptor)
        for part in path.parts:
            try:
                if make:
                    _make_folder(at, part)
                inner = os.open(part, _FOLDER, dir_fd=at)
            finally:
                os.close(at)
            at = inner
        return Folder(at)

    def folders(self, path: PurePath) -> list[str]:
        """Return the names of the folders in `path`; empty when it is not a folder."""
        try:
            with self.enter(path) as folder:
                return folder._folders()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _folders(self) -> list[str]:
        with os.scandir(self._descriptor) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def walk(self, path: PurePath = _HERE) -> Iterator[Content]:
        """Yield this folder and each one below. Raise OSError (ENAMETOOLONG) if they are nested too deep."""
        if len(path.parts) > _DEEPEST:
            raise OSError(errno.ENAMETOOLONG, "folders are nested too deep")
        with os.scandir(self._descriptor) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
        yield Content(path, self, {name: is_ for name, is_ in found.items() if stat.S_ISREG(is_.st_mode)})
        for name in sorted(name for name, is_ in found.items() if stat.S_ISDIR(is_.st_mode)):
            with self.enter(PurePath(name)) as inner:
                yield from inner.walk(path / name)

    def move(self, name: str, target: Folder) -> None:
        """Move the file of that name into `target`, over a file of the same name."""
        os.rename(name, name, src_dir_fd=self._descriptor, dst_dir_fd=target._descriptor)

    def write(self, path: PurePath, content: IO[bytes], mode: int, changed: float) -> None:
        """Write a new file in place of an existing one, and make its parents.

        `changed` is its modification time in seconds since 1970. The owner can always read and write. Bits of
        `mode` above 0o777 are dropped, and so are write permissions for group and others.
        """
        with self.enter(path.parent, make=True) as folder:
            with suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=folder._descriptor)
            with os.fdopen(os.open(path.name, _NEW_FILE, 0o600, dir_fd=folder._descriptor), "wb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fchmod(file.fileno(), 0o600 | mode & 0o755)
                os.utime(file.fileno(), (changed, changed))

    def open_up(self) -> None:
        """Let the owner into each folder below, so that all of it can be removed."""
        for name in self._folders():
            let_owner_in(self._descriptor, name)
            with self.enter(PurePath(name)) as inner:
                inner.open_up()


def _make_folder(at: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=at)


def read(path: str | os.PathLike[str]) -> str:
    """Return the text of a regular file. Raise FileNotFoundError for a link, a pipe or another kind."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise FileNotFoundError(errno.ENOENT, "it is a link", str(path)) from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is no file", str(path))
        return file.read()


def let_owner_in(at: int | None, name: str | os.PathLike[str]) -> None:
    """Give the owner all rights over the folder `name` in `at`.

    The mode is changed through an O_PATH descriptor: that needs no rights over the folder, and unlike a path
    it cannot come to mean something else.
    """
    closed = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        Path(f"/proc/self/fd/{closed}").chmod(0o700)
    finally:
        os.close(closed)


def unpack(
    archive: Readable, folder: str | os.PathLike[str], wanted: Callable[[PurePosixPath], bool]
) -> list[PurePosixPath]:
    """Write the `wanted` files of a tar archive into `folder` as they come; return the paths left out.

    Links (hard or symbolic), devices and names that lead out of the folder are left out: none is made, none
    is followed. Raise NoArchive when the input is no archive, or an incomplete one.
    """
    import tarfile

    left_out = []
    stream = cast("IO[bytes]", archive)
    try:
        with Folder.at(folder) as root, tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                path = PurePosixPath(member.name)
                if member.isdir() or not wanted(path):
                    continue
                if member.isreg() and _is_inside(path):
                    _unpack_one(members, member, path, root)
                else:
                    left_out.append(path)
        while archive.read(1 << 16):
            pass  # drain what follows the archive's end: a writer would fail on a closed pipe
    except (tarfile.TarError, ValueError, ArithmeticError) as error:
        raise NoArchive(f"it is no whole archive: {error}") from error
    return left_out


def _is_inside(path: PurePosixPath) -> bool:
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts


def _unpack_one(members: tarfile.TarFile, member: tarfile.TarInfo, path: PurePosixPath, root: Folder) -> None:
    content = members.extractfile(member)
    assert content is not None
    with content:
        root.write(path, content, member.mode, min(max(float(member.mtime), 0.0), _LATEST))
