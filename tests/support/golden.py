"""Units compared with files, which `NAP_GOLDEN=write` writes anew; and what systemd says of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from units.job import UnitFile


def assert_golden(folder: Path, units: Iterable[UnitFile]) -> None:
    """The folder has these units and no other ones."""
    files = {unit.name: unit.content for unit in units}
    if os.environ.get("NAP_GOLDEN") == "write":
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, files)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert files == {str(path.relative_to(folder)): path.read_text() for path in paths}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def verified(folder: Path) -> str:
    """What systemd has to say of the units in a folder."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this needs: apt-get install systemd")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(folder.iterdir()))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
