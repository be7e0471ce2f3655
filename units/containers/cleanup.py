"""Cleanup of what a run has in the runtime, by its runner, or by the engine when the runner could not."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from units.containers import network
from units.errors import UnitError
from units.oci import container
from units.oci.runtime import Runtime

# A file in the run's folder once everything has been removed.
_REMOVED = "removed"


def of_run(runtime: Runtime, spec: dict[str, Any]) -> list[str]:
    """Return the names of the containers with the run's labels; `spec` is the content of its `run.json`."""
    return container.labelled(runtime, home=spec["home"], app=spec["app"], run=str(spec["run"]))


def remove(runtime: Runtime, folder: Path, spec: dict[str, Any], containers: Collection[str]) -> None:
    """Remove these containers and the network, and give the run's files back to the receiver's user."""
    container.remove(runtime, *containers)
    if spec["network"]:
        network.remove(runtime, spec["network"])
    take_back(runtime, folder)


def take_back(runtime: Runtime, folder: Path) -> None:
    """Give what the run wrote in its folder back to the receiver's user. Failures are ignored."""
    files = [path for path in (folder / "share", folder / "output") if path.exists()]
    with contextlib.suppress(UnitError, subprocess.CalledProcessError):
        runtime.take_back(*files)


def note_removed(folder: Path) -> None:
    (folder / _REMOVED).touch()


def were_removed(folder: Path) -> bool:
    return (folder / _REMOVED).exists()
