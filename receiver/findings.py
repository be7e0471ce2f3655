"""What is looked at to say what a machine can do, and what was found."""

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
    """What one check found.

    `ok` is None where something is missing that nap works without; `hint` then says what it
    can't do. False: nap does not work at all. `package` is the Debian package that helps.
    """

    name: str
    ok: bool | None
    found: str
    hint: str = ""
    package: str = ""


@dataclass(frozen=True)
class ExaminedMachine:
    """What the checks look at; tests pass a machine of their own.

    `which` finds a program's path; `output` runs a command and returns what it wrote, or None
    when it could not be run or failed.
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
    """The first of these programs that is there, with its version."""
    for program in programs:
        path = machine.which(program)
        if path is not None:
            told = machine.output([path, "--version"])
            return Finding(name, True, f"{version_in(told)} ({path})" if told else path)
    return Finding(name, False if needed else None, "not found", without, package)


def settings_of(machine: ExaminedMachine) -> Settings | None:
    """None where they are wrong, which has a finding of its own."""
    from receiver.home import settings
    from receiver.home.paths import Home

    try:
        return settings.load(Home(machine.home).settings)
    except ReceiverError:
        return None


def version_in(told: str) -> str:
    """The first thing in a program's words that looks like a version, else `0`."""
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
