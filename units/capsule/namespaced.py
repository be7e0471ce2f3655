"""A capsule of namespaces: one user, mount and PID namespace per run, and further ones in it per unit.

When the capsule's first process ends, the kernel ends everything in it. The same holds for each slave.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping

from units.capsule import namespaces, network
from units.capsule.copying import copy
from units.supervisor.unit import Unit


class Namespaced:
    def place(self, tree: str, folder: str) -> None:
        """Mount the image's files as an overlay, or copy them if the kernel refuses."""
        for name in ("app", "changed", "work", "tmp"):
            os.makedirs(f"{folder}/{name}", exist_ok=True)
        try:
            namespaces.overlay(tree, f"{folder}/changed", f"{folder}/work", f"{folder}/app")
        except OSError:
            copy(tree, f"{folder}/app")

    def own_network(self) -> None:
        network.bring_up()

    def arrange(self, home: str, visible: list[str], read_only: list[str], hosts: str = "") -> None:
        if hosts and os.path.exists("/etc/hosts"):
            namespaces.bind(hosts, "/etc/hosts", read_only=True)
        namespaces.own_proc()
        _own_shared_memory()
        kept = [(path, os.open(path, os.O_PATH), False) for path in visible]
        kept += [(path, os.open(path, os.O_PATH), True) for path in read_only]
        namespaces.tmpfs(home, mode="700")
        for path, descriptor, fixed in kept:
            _make_like(descriptor, path)
            namespaces.bind(f"/proc/self/fd/{descriptor}", path, read_only=fixed)
            os.close(descriptor)
        namespaces.close(home)

    def env(self, unit: Unit) -> Mapping[str, str]:
        return {}

    def enter(self, unit: Unit, folder: str) -> None:
        apart = namespaces.NEWPID if unit.is_slave else 0
        namespaces.unshare(namespaces.NEWNS | namespaces.NEWUTS | apart)
        socket.sethostname(unit.hostname)
        for name in ("app", "tmp"):
            # A relative source: `places` is hidden, and only reachable through the working directory.
            namespaces.bind(f"places/{unit.place}/{name}", f"{folder}/{name}")

    def settle(self, unit: Unit) -> None:
        if unit.is_slave:
            namespaces.own_proc()

    def end_slave(self, unit: Unit) -> None:
        """Do nothing: the kernel has ended the slave's PID namespace with its first process."""

    def end(self) -> None:
        """Do nothing: the kernel ends the capsule with the runner."""


def _make_like(descriptor: int, path: str) -> None:
    """Create a mount point of the same type, folder or file."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _own_shared_memory() -> None:
    """Mount an own /dev/shm, if there is one: some containers have none to mount on."""
    if os.path.isdir("/dev/shm"):
        namespaces.tmpfs("/dev/shm", mode="1777")
