"""The examined machine and the findings of the checks on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError

if TYPE_CHECKING:
    from receiver.home.settings import Settings

PROBE_SECONDS = 20
_SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    `ok` is None when something optional is missing; `hint` then names what nap cannot do without
    it. False: nap does not work at all. `package` is the Debian package that provides it.
    """

    name: str
    ok: bool | None
    found: str
    hint: str = ""
    package: str = ""


@dataclass(frozen=True)
class ExaminedMachine:
    """The machine under examination; tests pass a fake one.

    `which` finds a program's path. `output` runs a command and returns its output, or None when
    the command could not be run or failed.
    """

    home: Path
    which: Callable[[str], str | None]
    output: Callable[[Sequence[str]], str | None]
    python: tuple[int, ...] = tuple(sys.version_info[:3])


def this_machine(home: Path) -> ExaminedMachine:
    return ExaminedMachine(home, _which, _output)


def tool(
    machine: ExaminedMachine,
    name: str,
    programs: Sequence[str],
    without: str,
    package: str,
    needed: bool = False,
) -> Finding:
    """Return a finding for the first of `programs` that is installed, with its version and path.

    When there is none, `without` is the finding's hint, and `needed` makes it a failure.
    """
    for program in programs:
        path = machine.which(program)
        if path is not None:
            told = machine.output([path, "--version"])
            return Finding(name, True, f"{version_in(told)} ({path})" if told else path)
    return Finding(name, False if needed else None, "not found", without, package)


def settings_of(machine: ExaminedMachine) -> Settings | None:
    """Return the home's settings; None when they are invalid, which another check reports."""
    from receiver.home import settings
    from receiver.home.paths import Home

    try:
        return settings.load(Home(machine.home).settings)
    except ReceiverError:
        return None


def version_in(told: str) -> str:
    """Return the first part of a program's output that looks like a version, else `0`."""
    match = re.search(r"\d+(\.\d+)+", told)
    return match.group() if match else "0"


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")


def _output(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
