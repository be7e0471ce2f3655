"""Run a command and hand its output over line by line; when it is silent, say so."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from receiver.errors import ReceiverError
from receiver.silence import Silence

Say = Callable[[str], None]


def stream(
    argv: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    say: Say,
    seconds: float,
    cancelled: int,
) -> int:
    """The exit code of `argv`; ReceiverError after `seconds`, or when `cancelled` becomes readable.

    `cancelled` is a file descriptor. Silent work shows a line after 10 s, then at doubling intervals.
    """
    with subprocess.Popen(
        argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            _relay(process, say, time.monotonic() + seconds, cancelled)
        except BaseException:
            process.kill()
            raise
        return process.wait()


def _relay(process: subprocess.Popen[bytes], say: Say, deadline: float, cancelled: int) -> None:
    assert process.stdout is not None
    output = process.stdout.fileno()
    rest, silence = b"", Silence(say, "still building")
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ReceiverError("the build took longer than it may", "build_timeout in the settings")
        ready = select.select([output, cancelled], [], [], min(left, silence.patience()))[0]
        if cancelled in ready:
            raise ReceiverError("the build was cancelled")
        if not ready:
            silence.broken()
            continue
        data = os.read(output, 65536)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines if data else [*lines, rest] if rest else lines:
            say(line.decode(errors="replace").rstrip("\r"))
        if not data:
            return
        silence.ended()
