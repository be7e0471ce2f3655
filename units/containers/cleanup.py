"""What a run has in the runtime: taken away by its runner, or by the engine where that could not."""

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

# In the run's folder once its runner has taken all of it away.
_REMOVED = "removed"


def of_run(runtime: Runtime, spec: dict[str, Any]) -> list[str]:
    """The containers that carry the run's labels; `spec` is what its `run.json` says."""
    return container.labelled(runtime, home=spec["home"], app=spec["app"], run=str(spec["run"]))


def remove(runtime: Runtime, folder: Path, spec: dict[str, Any], containers: Collection[str]) -> None:
    """These containers and the network go; the run's files are the receiver's own again."""
    container.remove(runtime, *containers)
    if spec["network"]:
        network.remove(runtime, spec["network"])
    take_back(runtime, folder)


def take_back(runtime: Runtime, folder: Path) -> None:
    """What the run wrote into files of its folder belongs to the receiver's own user again."""
    files = [path for path in (folder / "share", folder / "output") if path.exists()]
    with contextlib.suppress(UnitError, subprocess.CalledProcessError):
        runtime.take_back(*files)


def note_removed(folder: Path) -> None:
    (folder / _REMOVED).touch()


def were_removed(folder: Path) -> bool:
    return (folder / _REMOVED).exists()
