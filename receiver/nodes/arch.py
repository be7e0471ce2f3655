"""The architecture that this machine builds images for."""

from __future__ import annotations

import platform
import shutil
import subprocess

from receiver.nodes.facts import debian_arch


def own_arch() -> str:
    """Return this machine's architecture by its Debian name, from dpkg where it is installed."""
    if dpkg := shutil.which("dpkg"):
        command = [dpkg, "--print-architecture"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    return debian_arch(platform.machine())
