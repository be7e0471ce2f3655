"""Copies of results out of the slaves' containers."""

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

# A file in the run's folder once all slaves were tried: the sentence of the first failure, if there was one.
_BROUGHT = "brought"


def bring(runtime: Runtime, folder: Path, spec: dict[str, Any], slaves: Iterable[str]) -> None:
    """Copy what matches the run's globs to `places/<container>/app`, where every engine's results are.

    `slaves` are the existing containers. Failures are written to the run's remarks.
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
    """Return why results are missing; empty when all were copied or the run has none to keep."""
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
            coming.rest()  # let the client finish: its own error, raised by `reading`, explains more
    if broken:
        raise broken
