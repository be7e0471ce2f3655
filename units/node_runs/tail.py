"""Follow a unit on its node: fetch its output, and how it ended.

The size of the output that is here is the offset to resume at: no byte is lost or duplicated, however often
the connection is lost.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from units.errors import UnitError
from units.job import Outcome
from units.nodes.link import Link
from units.supervisor.exitcode import in_words

if TYPE_CHECKING:
    from paramiko import Channel

# Seconds: between retries, between two polls of `given_up`, and the timeout for opening a channel.
_AGAIN, _LOOK, _OPENS_WITHIN = 0.5, 1.0, 10.0
_CHUNK = 65536
_TIMED_OUT = "timeout"
# A result from the unit's scripts `keep` and `end`, not from systemd.
_UNKEPT = "unkept"


@dataclass(frozen=True)
class Ended:
    """How a unit ended: systemd's result, and how its main process ended with which status.

    `moment` is the time in seconds since 1970 by this machine's clock, 0.0 if unknown. `words` is the last
    line of its log when it could not start its command.
    """

    result: str
    how: str
    status: str
    moment: float = 0.0
    words: str = ""

    @property
    def code(self) -> int:
        """The exit code in a shell's form: 128 + N for signal N."""
        if self.how == "exited":
            return int(self.status)
        # Signals that Python has no name for, such as real-time ones, count as SIGKILL.
        return 128 + int(getattr(signal, f"SIG{self.status}", signal.SIGKILL))

    def outcome(self, timeout: int | None, node: str) -> Outcome:
        """Return the outcome of a unit on `node`. `timeout` is the run's, in seconds."""
        return replace(self._told(timeout, node), ended=self.moment)

    def _told(self, timeout: int | None, node: str) -> Outcome:
        if self.result == _TIMED_OUT and timeout:
            return Outcome(124, f"it took longer than its timeout of {timeout} s", "timed out")
        if self.result == _UNKEPT:
            return Outcome(1, f"the node {node} has no room for the run's output: its /run is full", "lost")
        if self.how != "exited":
            return Outcome(self.code, f"its unit on {node} {in_words(self.code)}", "lost")
        return Outcome(self.code, self.words)


class KeptOutput(Protocol):
    """The part of an output that is here."""

    def size(self) -> int:
        """Return its size in bytes."""

    def add(self, data: bytes) -> None:
        """Append the bytes that follow."""


@dataclass(frozen=True)
class Whole:
    """An output from one unit, in a file of its own."""

    path: Path

    def size(self) -> int:
        return self.path.stat().st_size

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as output:
            output.write(data)


@dataclass(frozen=True)
class Followed:
    """The unit to follow: the link to its node, the folder of its files there, and its output here."""

    link: Link
    folder: str
    unit: str
    kept: KeptOutput


def follow(followed: Followed, given_up: Callable[[], bool]) -> Ended | None:
    """Start the unit unless it was started, keep its output, and return how it ended.

    Return None once `given_up` is true: the caller decides how long a silent node is retried. Raise OSError
    when the disk here is full.
    """
    while not given_up():
        with contextlib.suppress(UnitError):
            _stream(followed, given_up)
            if ended := last(followed):
                return ended
        time.sleep(_AGAIN)
    return None


def _stream(followed: Followed, given_up: Callable[[], bool]) -> None:
    """Keep the output until the unit has ended, or the connection is lost."""
    argv = ("sh", f"{followed.folder}/follow", str(followed.kept.size()), followed.unit)
    channel = followed.link.open(argv, _OPENS_WITHIN)
    channel.settimeout(_LOOK)
    try:
        for data in _chunks(channel):
            followed.kept.add(data)
            if given_up():
                return
    finally:
        channel.close()


def _chunks(channel: Channel) -> Iterator[bytes]:
    """Yield the data that arrives, and b"" after each second without any, so that the caller can poll."""
    while True:
        try:
            data = channel.recv(_CHUNK)
        except TimeoutError:
            yield b""
        else:
            if not data:
                return
            yield data


def last(followed: Followed) -> Ended | None:
    """Keep the rest of the output, and return how the unit ended, or None when it has not."""
    done = followed.link.run(("sh", f"{followed.folder}/last", str(followed.kept.size())))
    if done.code:
        return None
    said, _, rest = done.out.partition(b"\n")
    followed.kept.add(rest)
    return _ended(said.decode(errors="replace").split(" "))


def _ended(words: list[str]) -> Ended | None:
    """Parse `RESULT HOW STATUS WORDS... MILLISECONDS`. The last is the age of the end; older runs lack it."""
    if len(words) < 3:
        return None
    result, how, status, *last_words = words
    ago = last_words.pop() if last_words else ""
    moment = time.time() - int(ago) / 1000 if ago else 0.0
    return Ended(result, how, status, moment, " ".join(last_words))
