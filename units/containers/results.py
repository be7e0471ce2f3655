"""What a run's slaves wrote in their own folders, brought out of their containers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from units.containers.runtime import Runtime
from units.errors import UnitError
from units.job import Handle
from units.running.files import remove

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
    made = changed(runtime.ask("diff", name), PurePosixPath(spec["workdir"]))
    for path in matching(made, spec["results"], app):
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        runtime.copy(f"{name}:{spec['workdir']}/{path}", app / path)


def changed(diff: str, workdir: PurePosixPath) -> list[PurePosixPath]:
    """What the run made or changed below `workdir`, from what a runtime's `diff` says of a container."""
    paths = [PurePosixPath(line[2:]) for line in diff.splitlines() if line[:2] in ("A ", "C ")]
    return [path.relative_to(workdir) for path in paths if workdir in path.parents]


def matching(paths: Iterable[PurePath], patterns: Sequence[str], scratch: Path) -> list[PurePath]:
    """Those of the paths that match a glob, a folder standing for all in it.

    `scratch` is a folder to try them in; it is there, and empty, afterwards.
    """
    _sketch(scratch, paths)
    matched = {path for pattern in patterns for path in scratch.glob(pattern)}
    found = sorted(path.relative_to(scratch) for path in matched if not matched & set(path.parents))
    remove(scratch)
    scratch.mkdir(parents=True)
    return [PurePath(path) for path in found]


def _sketch(app: Path, paths: Iterable[PurePath]) -> None:
    """Empty files and folders of these names, for globs to be tried on."""
    paths = list(paths)
    folders = {parent for path in paths for parent in path.parents}
    app.mkdir(parents=True, exist_ok=True)
    for path in sorted(paths, key=lambda path: len(path.parts)):
        if path in folders:
            (app / path).mkdir(parents=True, exist_ok=True)
        else:
            (app / path).parent.mkdir(parents=True, exist_ok=True)
            (app / path).touch()
