"""A capsule of tracked processes, for machines that allow no user namespaces.

All slaves of a run share one /app, the home is not hidden, and a preloaded library provides hostnames and
shared memory per slave. A run's processes are the descendants of its first process; a slave's processes
have its folder in their environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from units.capsule import namespaces, process_tree
from units.capsule.copying import copy
from units.supervisor.unit import Unit

MARK = "NAP_SLAVE_FOLDER"
_SHARED_MEMORY = ("OMPI_MCA_btl_sm_backing_directory", "OMPI_MCA_btl_vader_backing_directory")


class PlainCapsule:
    """The inner side of a plain capsule. `shim` is the path of the library compiled from `shim.c`."""

    def __init__(self, shim: str) -> None:
        self._shim = shim
        self._is_filled = False

    def place(self, tree: str, folder: str) -> None:
        """Create `folder`. The shared `app` is filled once, at the first call."""
        os.makedirs(folder, exist_ok=True)
        if not self._is_filled:
            copy(tree, f"{os.path.dirname(os.path.dirname(folder))}/app")
            self._is_filled = True

    def own_network(self) -> None:
        raise OSError("without user namespaces a run has no network of its own")

    def arrange(self, home: str, visible: list[str], read_only: list[str], hosts: str = "") -> None:
        namespaces.adopt_orphans()

    def env(self, unit: Unit) -> Mapping[str, str]:
        # Killed ranks leave their shared memory behind, so it must be in a folder of the run.
        shared = dict.fromkeys(_SHARED_MEMORY, unit.env["TMPDIR"])
        # Hydra passes the master's environment to all ranks: NAP_HOSTNAME would be the same on every slave.
        if unit.kind == "master":
            return shared
        preloaded = " ".join(filter(None, (self._shim, unit.env.get("LD_PRELOAD"))))
        return {**shared, "LD_PRELOAD": preloaded, "NAP_HOSTNAME": unit.hostname}

    def enter(self, unit: Unit, folder: str) -> None:
        """Do nothing: the shim gives a unit its hostname, and all units share their files."""

    def settle(self, unit: Unit) -> None:
        if unit.is_slave:
            namespaces.adopt_orphans()

    def end_slave(self, unit: Unit) -> None:
        process_tree.kill_marked(os.getpid(), f"{MARK}={unit.env[MARK]}")

    def end(self) -> None:
        process_tree.end_all()
