"""Runs a command and passes on its output line by line, with heartbeats while it is silent."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from receiver.errors import ReceiverError
from receiver.text.heartbeat import Silence

_LONGEST = 1 << 16  # bytes of a line
Say = Callable[[str], None]
_INDENT = " " * len("-----> ")


@dataclass(frozen=True)
class Activity:
    """The purpose of a command, as messages name it: `still` is for heartbeats, `name` for errors."""

    name: str
    still: str


BUILD = Activity("the build", "still building")


@dataclass(frozen=True)
class Limits:
    """When to give up a command: at `deadline` (monotonic clock, seconds), or once `cancelled` is readable.

    `cancelled` is a file descriptor, None when nothing can cancel.
    """

    deadline: float
    cancelled: int | None = None

    @classmethod
    def of(cls, seconds: float, cancelled: int | None = None) -> Limits:
        """Return limits with a deadline that many seconds from now."""
        return cls(time.monotonic() + seconds, cancelled)


def indented(say: Say) -> Say:
    """Return a `say` that indents lines to the text of the last `-----> ` line."""
    return lambda line: say(_INDENT + line)


@dataclass(frozen=True)
class Command:
    """A command with its working folder and environment."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str]


def stream(
    command: Command, say: Say, limits: Limits, activity: Activity = BUILD, patience: float = 0.0
) -> int:
    """Run a command, pass its lines to `say`, return its exit code. ReceiverError when it is given up.

    `say` also gets heartbeats: after 10 s of silence, then at doubling intervals. A command that is given up
    gets SIGTERM and has `patience` seconds to clean up before SIGKILL.
    """
    with subprocess.Popen(
        command.argv, cwd=command.folder, env=command.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in heard(process.stdout.fileno(), limits, say, activity):
                say(line)
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            process.kill()
            raise
        return process.wait()


def heard(output: int, limits: Limits, say: Say, activity: Activity = BUILD) -> Iterator[str]:
    """Yield the lines read from the file descriptor `output`, until its end; `say` gets heartbeats.

    ReceiverError at the deadline, or on cancellation.
    """
    watched = [output] if limits.cancelled is None else [output, limits.cancelled]
    rest, silence = b"", Silence(say, activity.still)
    while True:
        left = limits.deadline - time.monotonic()
        if left <= 0:
            raise ReceiverError(f"{activity.name} took longer than it may", "build_timeout in the settings")
        ready = select.select(watched, [], [], min(left, silence.patience()))[0]
        if limits.cancelled in ready:
            raise ReceiverError(f"{activity.name} was cancelled")
        if not ready:
            silence.broken()
            continue
        data = os.read(output, 65536)
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST:
            # Output without an end of line would fill the receiver's memory.
            lines, rest = [*lines, rest], b""
        for line in lines if data else [*lines, rest] if rest else lines:
            # Keep only the last state of a line overwritten with carriage returns, such as a progress bar.
            yield line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        if not data:
            return
        silence.ended()
