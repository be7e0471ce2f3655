"""The argv of a manifest's program or script, run in the app's folder."""

import os
import re
from dataclasses import replace
from pathlib import Path

from buildpacks.mpi_xml import script_text, sources
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs import python_step
from buildpacks.plan import Plan

_INTERPRETERS = {".py": ("python3",), ".jar": ("java", "-jar")}
_MODULE = "mpi4py"
# Unindented, so the import is unconditional.
_NEEDS_MODULE = re.compile(rb"^(?:from|import)\s+mpi4py\b", re.MULTILINE)


def argv(manifest: Manifest, module: str = "") -> tuple[str, ...]:
    """Return the argv of each rank: `./hello -n 3`, `python3 heat.py`.

    `module` starts a Python program: see `Plan`.
    """
    name = name_of(manifest)
    interpreter = _INTERPRETERS.get(Path(name).suffix)
    if interpreter and module and sources.is_python(name):
        interpreter = (*interpreter, "-m", module)
    program = (*interpreter, name) if interpreter else (f"./{name}",)
    return (*program, *manifest.args)


def name_of(manifest: Manifest) -> str:
    """Return the file each rank runs; of several Python sources, the one `to` names, else the first."""
    if manifest.build or not manifest.source or not sources.is_python(manifest.source[0]):
        return manifest.to
    named = (name for name in manifest.source if manifest.to in (Path(name).name, Path(name).stem))
    return next(named, manifest.source[0])


def script(manifest: Manifest) -> tuple[str, ...]:
    """Return the argv of the manifest's `run:`, which runs once, on the master. The caller appends `args`."""
    return ("sh", "-ec", script_text.with_arguments(manifest.run) if manifest.args else manifest.run)


def completed(plan: Plan, app: Path) -> Plan:
    """Return the plan, completed with how its program or script is started; `app` is the built tree."""
    if plan.manifest is None:
        return plan
    return replace(plan, manifest=with_file(plan.manifest, app), module=_module(plan.manifest, app))


def _module(manifest: Manifest, app: Path) -> str:
    """Return mpi4py when it is sure to be installed: then a rank that raises aborts the waiting others."""
    file = (app / name_of(manifest)).resolve()
    if manifest.run or not sources.is_python(file.name) or not file.is_relative_to(app.resolve()):
        return ""
    installed = (app / python_step.FOLDER / _MODULE).is_dir()
    needed = file.is_file() and _NEEDS_MODULE.search(file.read_bytes())
    return _MODULE if installed or needed else ""


def with_file(manifest: Manifest, app: Path) -> Manifest:
    """Return the manifest; a `run:` that starts with an app's file gets `./` and any interpreter it needs.

    Such a `run:` means that file, executable or not, even when PATH has a command of that name.
    """
    first = next(iter(manifest.run.split(maxsplit=1)), "")
    file = app / first
    if not first or first.startswith("/") or not file.is_file():
        return manifest
    prefix = "" if os.access(file, os.X_OK) else f"{_interpreter(file)} "
    here = "" if first.startswith("./") else "./"
    return replace(manifest, run=f"{prefix}{here}{manifest.run.lstrip()}")


def _interpreter(file: Path) -> str:
    """Return the interpreter that a script's first line names, or `sh`."""
    with file.open("rb") as text:
        first = text.readline(256)
    return first[2:].decode("utf-8", "replace").strip() if first.startswith(b"#!") else "sh"
