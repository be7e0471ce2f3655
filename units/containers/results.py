"""What a run's slaves wrote in their own folders, brought out of their containers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from units.errors import UnitError
from units.job import Handle
from units.nofollow import NoArchive, unpack
from units.oci.runtime import Runtime
from units.oci.wanted import Wanted

# In the run's folder once all was tried: the sentence of the first failure, if there was one.
_BROUGHT = "brought"


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
