"""The base image built from Debian's packages: mmdebstrap's command line, and a key for it."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

_DPKG = Path(__file__).with_name("dockerfiles") / "base.dpkg.cfg"
_SUITE = "bookworm"
_APT = ("APT::Install-Recommends false", "Acquire::Languages none", "Acquire::Retries 3")
# This hook merges /usr without the package for it, which depends on 54 MB of perl.
_MERGED = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
_CLEAN = 'rm -f "$1"/var/cache/debconf/*.dat* "$1"/var/lib/dpkg/*-old "$1"/var/lib/dpkg/info/*.symbols'


def command(mode: str, archive: Path) -> list[str]:
    """Return the argv that writes the base as a tar archive. `mode` is mmdebstrap's: `root` or `unshare`.

    dpkg's options are words, not a file: a process in a user namespace cannot always read a user's files.
    """
    return ["mmdebstrap", f"--mode={mode}", *_options(), _SUITE, str(archive)]


def key() -> str:
    """Return sixteen hexadecimal digits that change when the base would be built differently."""
    parts = (_options(), _SUITE, platform.machine())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def dpkg_options() -> tuple[str, ...]:
    """Return dpkg's options, which also apply to packages installed on the base later."""
    lines = _DPKG.read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _options() -> tuple[str, ...]:
    return (
        "--quiet", "--variant=apt", f"--hook-dir={_MERGED}", f"--customize-hook={_CLEAN}",
        *(f"--aptopt={option}" for option in _APT),
        *(f"--dpkgopt={option}" for option in dpkg_options()),
    )  # fmt: skip
