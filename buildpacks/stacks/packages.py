"""Check a plan's Debian packages when a tree is compiled and run on the machine itself."""

import shutil
import subprocess
from collections.abc import Sequence

from buildpacks.errors import BuildpackError

_SECONDS = 20


def check(packages: Sequence[str]) -> None:
    """Raise BuildpackError when this machine lacks packages, with the line that installs them.

    Without dpkg-query nothing is checked: a missing package shows in the build.
    """
    if not packages or shutil.which("dpkg-query") is None:
        return
    absent = [package for package in packages if not _is_installed(package)]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        raise BuildpackError(
            f"`packages` names {', '.join(absent)}, which {verb} not installed here",
            f"On the receiver: apt-get install {' '.join(absent)}",
        )


def _is_installed(package: str) -> bool:
    asked = ["dpkg-query", "-W", "-f", "${Status}\n", package]
    answer = subprocess.run(
        asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    return "ok installed" in answer.stdout
