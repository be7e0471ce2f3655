"""Download a node's files as a tar archive, unpacked while it arrives: none of it is held in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath

from units import nofollow
from units.errors import UnitError
from units.nodes.link import Link, exit_code

# Seconds without a byte after which a node counts as away.
_SILENCE = 20.0
_CHUNK = 65536


def fetch(
    link: Link,
    argv: Sequence[str],
    folder: Path,
    wanted: Callable[[PurePosixPath], bool] = lambda _: True,
) -> None:
    """Unpack in `folder` the wanted files of the archive that the command writes as root.

    Only regular files are taken, because a program made the contents. Raise UnitError when the archive is
    incomplete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(_pieces(link, argv)) as pieces:
        try:
            nofollow.unpack(_Archive(pieces), folder, wanted)
        except nofollow.NoArchive as error:
            for _ in pieces:
                pass  # read to the end: the command's own failure is raised in preference
            raise UnitError(f"what came from {link.login} cannot be unpacked: {error.message}") from error


class _Archive:
    """A file object over the pieces as they arrive."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int, /) -> bytes:
        """Return the next piece, whatever its size, or b"" at the end."""
        return next(self._pieces, b"")


def _pieces(link: Link, argv: Sequence[str]) -> Generator[bytes, None, None]:
    channel = link.open(argv, _SILENCE)
    try:
        while data := channel.recv(_CHUNK):
            yield data
        words = channel.recv_stderr(_CHUNK).decode(errors="replace").strip().splitlines()
        if exit_code(channel, _SILENCE):
            raise UnitError(f"{argv[0]} failed on {link.login}: {''.join(words[-1:])}")
    except (TimeoutError, EOFError) as error:
        link.set_aside()
        raise UnitError(f"{link.login} did not answer within {_SILENCE:.0f} s", "see: nap nodes") from error
    finally:
        channel.close()
