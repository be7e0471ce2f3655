"""What this machine's images are built for."""

from __future__ import annotations

import platform
import shutil
import subprocess

from receiver.nodes.facts import debian_arch


def own_arch() -> str:
    """As Debian names it."""
    if dpkg := shutil.which("dpkg"):
        command = [dpkg, "--print-architecture"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    return debian_arch(platform.machine())
