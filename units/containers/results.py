"""What a run's slaves wrote in their own folders, brought out of their containers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from units.errors import UnitError
from units.globs import fits
from units.job import Handle
from units.nofollow import NoArchive, unpack
from units.oci.runtime import Runtime

# In the run's folder once all was tried: the sentence of the first failure, if there was one.
_BROUGHT = "brought"
_LINE = re.compile("\n(?=[ACD] /)")


def bring(runtime: Runtime, folder: Path, spec: dict[str, Any], slaves: Iterable[str]) -> None:
    """Copy what matches the run's globs to `places/<container>/app`, where every engine's results are.

    `slaves` are the containers that there are. What could not be copied is told in the run's remarks.
    """
    failures = []
    for name in slaves:
        try:
            _fetch(runtime, name, folder / "places" / name / "app", spec)
        except (OSError, UnitError) as error:
            failures.append(f"what {name} wrote could not all be brought: {error}")
    if failures:
        Handle(folder).remarks.write_text("".join(f"results: {line}\n" for line in failures))
    (folder / _BROUGHT).write_text("".join(failures[:1]))


def lacking(folder: Path) -> str:
    """Why not all of a run's results were brought; empty when they were, or there are to be none."""
    brought = folder / _BROUGHT
    if brought.exists():
        return brought.read_text()
    wanted = json.loads((folder / "run.json").read_text())["results"]
    return "the run's results could not all be brought" if wanted else ""


def _fetch(runtime: Runtime, name: str, app: Path, spec: dict[str, Any]) -> None:
    with runtime.reading("diff", name) as coming:
        said = coming.rest()
    wanted = Wanted.of(said, PurePosixPath(spec["workdir"]), spec["results"])
    if wanted is None:
        return
    (app / wanted.folder).mkdir(parents=True, exist_ok=True)
    broken = None
    with runtime.reading("cp", wanted.source(name), "-") as coming:
        try:
            unpack(coming, app / wanted.folder, wanted.takes)
        except NoArchive as error:
            broken = error
            coming.rest()  # what the client itself says of its failure goes first
    if broken:
        raise broken


@dataclass(frozen=True)
class Wanted:
    """The files of one container that are results: they come as one archive, of `folder` in its `workdir`."""

    workdir: PurePosixPath
    folder: PurePosixPath
    names: frozenset[PurePosixPath]

    @classmethod
    def of(cls, diff: bytes, workdir: PurePosixPath, patterns: Sequence[str]) -> Wanted | None:
        """`diff` is what a runtime says that the run has made or changed. None when nothing fits."""
        found = {path for path in changed(diff, workdir) if fits(path, patterns)}
        files = found - {parent for path in found for parent in path.parents}
        if not files:
            return None
        folder = PurePosixPath(os.path.commonpath([path.parent for path in files]))
        return cls(workdir, folder, frozenset(path.relative_to(folder) for path in files))

    def source(self, container: str) -> str:
        """What is copied, as runtimes call it: the folder's content, or a single file."""
        only = next(iter(self.names)) if len(self.names) == 1 else "."
        return f"{container}:{self.workdir / self.folder}/{only}"

    def takes(self, name: PurePosixPath) -> bool:
        """Whether it is one of them, by its name in the archive."""
        return name in self.names


def changed(diff: bytes, workdir: PurePosixPath) -> list[PurePosixPath]:
    """What the run made or changed below `workdir`, from what a runtime's `diff` says of a container.

    A line each; what does not begin like one belongs to a name with a line's end in it.
    """
    lines = os.fsdecode(diff).removesuffix("\n")
    paths = [PurePosixPath(line[2:]) for line in _LINE.split(lines) if line[:2] in ("A ", "C ")]
    return [path.relative_to(workdir) for path in paths if workdir in path.parents]
