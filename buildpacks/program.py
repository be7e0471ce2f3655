"""What runs on the ranks: the argv of a manifest's program, in the app's folder."""

import os
from dataclasses import replace
from pathlib import Path

from buildpacks import sources
from buildpacks.manifest import Manifest

_INTERPRETERS = {".py": ("python3",), ".jar": ("java", "-jar")}


def argv(manifest: Manifest) -> tuple[str, ...]:
    """The program each rank is, with its arguments: `./hello -n 3`, `python3 heat.py`."""
    name = name_of(manifest)
    interpreter = _INTERPRETERS.get(Path(name).suffix)
    program = (*interpreter, name) if interpreter else (f"./{name}",)
    return (*program, *manifest.args)


def name_of(manifest: Manifest) -> str:
    """The file each rank runs; of several Python sources, the one `to` names, else the first."""
    if manifest.build or not manifest.source or not sources.is_python(manifest.source[0]):
        return manifest.to
    named = (name for name in manifest.source if manifest.to in (Path(name).name, Path(name).stem))
    return next(named, manifest.source[0])


def script(manifest: Manifest) -> tuple[str, ...]:
    """The argv of the manifest's `run:`, once on the master, in the app's folder."""
    return ("sh", "-ec", manifest.run)


def with_file(manifest: Manifest, app: Path) -> Manifest:
    """The manifest whose `run:` says how its file is run, when it starts with one of the app's.

    Such a `run:` means that file, executable or not, also where PATH has a command of that name.
    """
    first = next(iter(manifest.run.split(maxsplit=1)), "")
    file = app / first
    if not first or first.startswith("/") or not file.is_file():
        return manifest
    prefix = "" if os.access(file, os.X_OK) else f"{_interpreter(file)} "
    here = "" if first.startswith("./") else "./"
    return replace(manifest, run=f"{prefix}{here}{manifest.run.lstrip()}")


def _interpreter(file: Path) -> str:
    """What a script's first line names; `sh` when it names nothing."""
    with file.open("rb") as text:
        first = text.readline(256)
    return first[2:].decode("utf-8", "replace").strip() if first.startswith(b"#!") else "sh"
