"""Which kind of capsule this machine allows, and the command that starts a process as the first in one."""

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
    """The side without of a `capsule.Capsule` of the same `kind`; `note` says what it cannot do."""

    kind: str
    note: str

    def check(self) -> None:
        """UnitError when something it needs is missing here."""

    def argv(self, command: Sequence[str], own_network: bool = False) -> list[str]:
        """`command` as the first process of a capsule: nothing in it outlives it, or the caller's child."""

    def shim(self, home: Path) -> str:
        """The library that stands in for namespaces, made if need be; empty where none is needed."""


class Namespaces:
    """The kernel's own: it ends, hides and tells apart."""

    kind = "namespaces"
    note = ""

    def check(self) -> None:
        """It was tried before it was chosen."""

    def argv(self, command: Sequence[str], own_network: bool = False) -> list[str]:
        return [*_UNSHARE, *(("--net",) if own_network else ()), *command]

    def shim(self, home: Path) -> str:
        return ""


class Plain:
    """Processes that are kept track of, for machines without user namespaces."""

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
    """The best of this machine."""
    return Plain() if refusal() else Namespaces()


def refusal() -> str:
    """Why this machine does not let its users make namespaces; empty when it does."""
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
