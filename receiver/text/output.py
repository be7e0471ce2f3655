"""Run a command and hand its output over line by line; when it is silent, say so."""

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

Say = Callable[[str], None]
_INDENT = " " * len("-----> ")


@dataclass(frozen=True)
class Activity:
    """What a command is run for, as messages call it."""

    name: str
    still: str


BUILD = Activity("the build", "still building")


@dataclass(frozen=True)
class Limits:
    """When a command is given up: at `deadline` of the monotonic clock, or once `cancelled` is readable.

    `cancelled` is a file descriptor, None where nobody can cancel.
    """

    deadline: float
    cancelled: int | None = None

    @classmethod
    def of(cls, seconds: float, cancelled: int | None = None) -> Limits:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds, cancelled)


def indented(say: Say) -> Say:
    """Says lines below the last `-----> ` one."""
    return lambda line: say(_INDENT + line)


@dataclass(frozen=True)
class Command:
    """What is run, in which folder and with which environment."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str]


def stream(
    command: Command, say: Say, limits: Limits, activity: Activity = BUILD, patience: float = 0.0
) -> int:
    """Return the exit code of a command; ReceiverError when it is given up.

    Silent work shows a line after 10 s, then at doubling intervals. What is given up has `patience`
    seconds to clean up after itself.
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
    """The lines that come out of the file descriptor `output`, until its end; `say` hears of silence.

    ReceiverError at the deadline, or when nobody wants them any more.
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
        for line in lines if data else [*lines, rest] if rest else lines:
            # Of a line that was written over, such as one of progress, what it came to in the end.
            yield line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        if not data:
            return
        silence.ended()
