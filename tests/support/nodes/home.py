"""A home whose runs are units of the lab's nodes, with real pushes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.containers.home import SharedStacks
from support.nap_home import NapHome
from support.nodes.lab import Lab
from support.nodes.node import Node

from receiver.home.paths import Home
from registry.images import server as image_server
from units.oci.runtime import Runtime

SETTINGS = "engine: systemd\ncontainers: {runtime: podman}\n"


@contextmanager
def agent(key: Path, socket: Path) -> Iterator[str]:
    """The socket of an ssh agent with this key, as an admin's has."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, timeout=10)
        try:
            yield str(socket)
        finally:
            process.terminate()


def new_home(root: Path, shared: SharedStacks, runtime: Runtime) -> NapHome:
    """Not up yet. Its registry is the one that has the tests' stacks, with a door of its own for nodes."""
    home = shared.furnish(root, runtime)
    home.image_registry.mkdir()
    (shared.registry_folder / "data").mkdir(exist_ok=True)  # until something is pushed it has none
    for name in ("data", "config.yml", "htpasswd", "registry.json", "registry.lock", "registry.door"):
        (home.image_registry / name).symlink_to(shared.registry_folder / name)
    nap = NapHome(root)
    nap.env["HOME"] = str(root)
    nap.always(SETTINGS)
    return nap


def add_nodes(home: NapHome, lab: Lab, nodes: Sequence[Node], *options: str) -> None:
    with agent(lab.key, home.root / "agent") as socket:
        for node in nodes:
            home.env["SSH_AUTH_SOCK"] = socket
            ran = home.nap("nodes", "add", f"ops@{node.address}", *options)
            del home.env["SSH_AUTH_SOCK"]
            assert ran.code == 0, ran


def down(home: NapHome, shared: SharedStacks) -> str:
    """What it says; the registry goes on for others."""
    said = home.down()
    image_server.start(shared.registry_folder, home.root / "registry.log", print)
    return said


def left(nodes: Sequence[Node], home: Home) -> list[str]:
    """Units, files and containers of a home that are on its nodes."""
    found = []
    for node in nodes:
        folders = "/run/systemd/system /etc/systemd/system"
        units = node.console("sh", "-c", f"ls -R {folders} | grep ^{home.id} || true")
        folders = f"/run/nap/{home.id} /var/lib/nap/{home.id}"
        files = node.console("sh", "-c", f"find {folders} 2>/dev/null || true")
        label = f"label=nap.home={home.root}"
        containers = node.console(node.kind, "ps", "--all", "--filter", label, "--format", "{{.Names}}")
        found += [f"{node.name}: {line}" for line in (units + files + containers).splitlines()]
    return found
