"""Files that come from a node as a tar archive, unpacked while they come: none of it is held in memory."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from units.errors import UnitError
from units.systemd.links import Link, exit_code

# Seconds without a byte after which a node counts as away.
_SILENCE = 20.0
_CHUNK = 65536


def fetch(link: Link, argv: Sequence[str], folder: Path) -> None:
    """Unpack in `folder` what the command writes as root. UnitError when not all of it has come."""
    folder.mkdir(parents=True, exist_ok=True)
    unpack = ("tar", "--extract", "--directory", str(folder), "--no-same-owner", "--no-same-permissions")
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(unpack, stdin=subprocess.PIPE, stderr=said) as tar:
            assert tar.stdin is not None
            try:
                for piece in _pieces(link, argv):
                    tar.stdin.write(piece)
                tar.stdin.close()
            except BrokenPipeError:
                tar.wait()
        if tar.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise UnitError(f"what came from {link.login} cannot be unpacked: {''.join(last)}")


def _pieces(link: Link, argv: Sequence[str]) -> Iterator[bytes]:
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
