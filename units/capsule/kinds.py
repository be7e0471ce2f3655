"""The kinds of capsules, which one this machine allows, and the command that starts one."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from nap_start import BARE
from units.errors import UnitError

_HERE = Path(__file__).parent
_UNSHARE = (
    "unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "--pid", "--fork", "--kill-child",
)  # fmt: skip


class Enclosure(Protocol):
    """The outer side of an `inside.Capsule` of the same `kind`; `note` is a sentence on its limits."""

    kind: str
    note: str

    def check(self) -> None:
        """Raise UnitError when this machine lacks something that the capsule needs."""

    def argv(self, command: Sequence[str], own_network: bool = False) -> list[str]:
        """Return the argv that runs `command` as the first process of a capsule.

        Nothing in the capsule outlives the command, nor the process started from the returned argv.
        """

    def shim(self, home: Path) -> str:
        """Return the library that replaces namespaces, compiled if necessary; empty if none is needed."""


class Namespaces:
    """Capsules of kernel namespaces, which end, hide and isolate processes."""

    kind = "namespaces"
    note = ""

    def check(self) -> None:
        """Do nothing: `here` tries namespaces before it chooses them."""

    def argv(self, command: Sequence[str], own_network: bool = False) -> list[str]:
        return [*_UNSHARE, *(("--net",) if own_network else ()), *command]

    def shim(self, home: Path) -> str:
        return ""


class Plain:
    """Capsules of tracked processes, for machines without user namespaces."""

    kind = "plain"
    note = "this machine allows no user namespaces: the slaves share one /app, and programs see nap's home"

    def check(self) -> None:
        if shutil.which("cc") is None:
            raise UnitError("without user namespaces, hostnames of slaves need cc", "apt-get install gcc")

    def argv(self, command: Sequence[str], own_network: bool = False) -> list[str]:
        if own_network:
            hint = "bring an interface up, allow user namespaces, or say `mpi: mpich`"
            raise UnitError("Open MPI needs a network interface other than lo", hint)
        return [*BARE, str(_HERE / "subreaper.py"), *command]

    def shim(self, home: Path) -> str:
        source = _HERE / "shim.c"
        library = home / "stacks" / f"shim-{zlib.crc32(source.read_bytes()):08x}.so"
        if not library.exists():
            self.check()
            library.parent.mkdir(parents=True, exist_ok=True)
            _compile(source, library)
        return str(library)


@functools.cache
def here() -> Enclosure:
    """Return the best enclosure that this machine allows."""
    return Plain() if refusal() else Namespaces()


def refusal() -> str:
    """Return why users cannot create namespaces on this machine, empty when they can."""
    try:
        tried = subprocess.run((*_UNSHARE, "true"), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no unshare"
    return (tried.stderr.strip() or "unshare failed") if tried.returncode else ""


def _compile(source: Path, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".new-") as folder:
        new = Path(folder) / library.name
        command = ("cc", "-shared", "-fPIC", "-O2", "-o", str(new), str(source))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise UnitError(f"{source.name} cannot be compiled: {done.stderr.strip()}")
        os.replace(new, library)
