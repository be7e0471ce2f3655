"""A unit's output on its way here from its node, and the word of its end.

What is here already says where to go on: not a byte is lost or doubled, however often the line is cut.
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

# Seconds between two tries, between two looks whether it was given up, and for a connection to open.
_AGAIN, _LOOK, _OPENS_WITHIN = 0.5, 1.0, 10.0
_CHUNK = 65536
_TIMED_OUT = "timeout"
# Said by the unit's script `keep`, not by systemd.
_UNKEPT = "unkept"


@dataclass(frozen=True)
class Ended:
    """How systemd tells a unit's end: its result, and of its first process how and with what it ended.

    `moment` is when, in seconds since 1970 by this machine's clock; 0.0 is not known. `words` are its last
    ones, where it could not start what it was to.
    """

    result: str
    how: str
    status: str
    moment: float = 0.0
    words: str = ""

    @property
    def code(self) -> int:
        """As a shell tells it."""
        if self.how == "exited":
            return int(self.status)
        # One that has no name of its own, as those for real time, is told as a kill.
        return 128 + int(getattr(signal, f"SIG{self.status}", signal.SIGKILL))

    def outcome(self, timeout: int | None, node: str) -> Outcome:
        """Of a unit on that node."""
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
    """What is here of an output."""

    def size(self) -> int:
        """Its bytes."""

    def add(self, data: bytes) -> None:
        """What follows them."""


@dataclass(frozen=True)
class Whole:
    """An output that is a file of its own."""

    path: Path

    def size(self) -> int:
        return self.path.stat().st_size

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as output:
            output.write(data)


@dataclass(frozen=True)
class Followed:
    """The unit to follow: on which node, where its files are, and where its output is kept here."""

    link: Link
    folder: str
    unit: str
    kept: KeptOutput


def follow(followed: Followed, given_up: Callable[[], bool]) -> Ended | None:
    """Start the unit, unless it has begun, and keep its output until it ends; None when it was given up.

    Whether its node will ever answer again is for others to say.
    """
    while not given_up():
        with contextlib.suppress(UnitError):
            _stream(followed, given_up)
            if ended := last(followed):
                return ended
        time.sleep(_AGAIN)
    return None


def _stream(followed: Followed, given_up: Callable[[], bool]) -> None:
    """Until the unit has ended, or the line is cut."""
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
    """What comes; nothing, now and then, while nothing does."""
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
    """Keep what of the output has not come yet; the unit's end, if that has come."""
    done = followed.link.run(("sh", f"{followed.folder}/last", str(followed.kept.size())))
    if done.code:
        return None
    said, _, rest = done.out.partition(b"\n")
    followed.kept.add(rest)
    return _ended(said.decode(errors="replace").split(" "))


def _ended(words: list[str]) -> Ended | None:
    """Of a result, a way, a status, last words and how many milliseconds ago: older runs lack the latter."""
    if len(words) < 3:
        return None
    result, how, status, *last_words = words
    ago = last_words.pop() if last_words else ""
    moment = time.time() - int(ago) / 1000 if ago else 0.0
    return Ended(result, how, status, moment, " ".join(last_words))
