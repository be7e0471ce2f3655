"""What a run or a build sees of the machine: its own folder, its MPI, and nothing else of nap's home."""

from __future__ import annotations

import os

from units.local import namespaces


def arrange(home: str, visible: list[str], read_only: list[str]) -> None:
    """Give this capsule a /proc and a /dev/shm of its own and hide `home`, but for the folders named."""
    namespaces.own_proc()
    _own_shared_memory()
    kept = [(path, os.open(path, os.O_PATH), False) for path in visible]
    kept += [(path, os.open(path, os.O_PATH), True) for path in read_only]
    namespaces.tmpfs(home, mode="700")
    for path, descriptor, fixed in kept:
        os.makedirs(path, exist_ok=True)
        namespaces.bind(f"/proc/self/fd/{descriptor}", path, read_only=fixed)
        os.close(descriptor)


def _own_shared_memory() -> None:
    """Some containers have no /dev/shm to mount on: then the machine's is as good."""
    if os.path.isdir("/dev/shm"):
        namespaces.tmpfs("/dev/shm", mode="1777")


def know_each_other(hosts: str) -> None:
    """Let the run's names resolve for its own processes: `hosts` stands in for /etc/hosts."""
    if os.path.exists("/etc/hosts"):
        namespaces.bind(hosts, "/etc/hosts")


def place(tree: str, folder: str) -> None:
    """Make `folder`/app hold the image's files, writable, without copying them where that can be had."""
    for name in ("app", "changed", "work", "tmp"):
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    try:
        namespaces.overlay(tree, f"{folder}/changed", f"{folder}/work", f"{folder}/app")
    except OSError:
        copy = os.spawnlp(os.P_WAIT, "cp", "cp", "-a", "--reflink=auto", f"{tree}/.", f"{folder}/app")
        if copy != 0:
            raise OSError(f"cannot copy the image's files to {folder}/app") from None
