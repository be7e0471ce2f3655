"""The build context of a stack's Dockerfile: the installer script, and the wheel's files by stage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from buildpacks.stacks import image_stacks, mpi_wheel
from buildpacks.stacks.image_stacks import Recipe
from receiver.text.output import Say, indented


def fill(context: Path, recipe: Recipe, wheels: Path, say: Say) -> None:
    """Put everything that the recipe's Dockerfile copies into `context`. A missing wheel is fetched here."""
    installer = context / image_stacks.INSTALLER
    shutil.copyfile(image_stacks.FOLDER / image_stacks.INSTALLER, installer)
    installer.chmod(0o755)
    wheel = recipe.kind.wheel
    if wheel is None or recipe.packages:
        return
    if mpi_wheel.installed(wheel.name, wheels) is None:
        mpi_wheel.install(wheel.name, wheels, indented(say))
    for stage in image_stacks.STAGES:
        (context / "mpi" / stage).mkdir(parents=True)
    _copy(wheels / wheel.folder, context / "mpi")


def _copy(prefix: Path, target: Path) -> None:
    """Copy each file to its stage, readable by all users, whatever the receiver's umask."""
    for folder, _, names in os.walk(prefix):
        for source in (Path(folder, name) for name in names):
            inner = source.relative_to(prefix)
            stage = image_stacks.stage_of(PurePosixPath(inner))
            if stage is None:
                continue
            copy = target / stage / inner
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
