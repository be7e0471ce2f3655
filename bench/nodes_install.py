"""How long the units of a run take to reach its nodes, which are 50 ms away: `python bench/nodes_install.py`.

Real are the engine's submit, its connections, archives and scripts, and sshd. One machine of the lab is all
nodes: it has a sshd beside its own, whose sessions see a /run for each of the nodes. What a node does by
itself is the same on every one of them, and stands for it a pause: PAUSES. bench/slow_line.py delays.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import slow_line
from container_push import line
from support.nodes.lab import Lab
from support.nodes.node import Node as Machine

from units import names
from units.job import Job, Mpi, Outcome
from units.node_runs.pending_cleanup import NodeCleanup
from units.node_runs.tools import NodeTiming, Tools
from units.nodes.allocator import Allocator
from units.nodes.announce import Etcd
from units.nodes.link import Links
from units.nodes.node import Login, Node
from units.nodes.pull import Registry
from units.oci.runtime import Runtime
from units.placement.place import Policy
from units.systemd.engine import SystemdEngine
from units.systemd.unit_files import Site

COUNTS = (1, 10, 30, 100)
ROUNDS = 5
GOAL = 5.0
PORT = 2200
# Seconds that systemd takes to read its units anew, and to start a slave and its announcer.
PAUSES = {"daemon-reload": 0.1, "start": 0.3}
# A session has what belongs to the node whose address it came to.
SESSION = """\
set -- $SSH_CONNECTION
mount --bind /var/nodes/$3 /run
mount --bind /var/nodes/$3/lib /var/lib/nap
PATH=/var/bench:$PATH exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
SSHD = f"""\
Port {PORT}
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
MaxStartups 1000
PidFile none
ForceCommand unshare --mount /bin/sh /var/bench/session
"""
OVER = Outcome(130, "measured", "cancelled")


def main() -> int:
    with tempfile.TemporaryDirectory() as name, nodes_far_away() as (lab, nodes):
        print(f"{2000 * slow_line.HALF:.0f} ms to each node and back")
        worst = [measure(Path(name) / str(count), lab, nodes[:count]) for count in COUNTS][-1]
        print(f"{COUNTS[-1]} nodes: {worst:.2f} s, goal {GOAL}")
    return int(worst > GOAL)


@contextmanager
def nodes_far_away() -> Iterator[tuple[Lab, tuple[Node, ...]]]:
    lab = Lab()
    try:
        (machine,) = lab.boot(1)
        nodes = furnish(machine)
        words = (sys.executable, slow_line.__file__, str(PORT), *(node.address for node in nodes))
        with subprocess.Popen(words, stdout=subprocess.PIPE) as proxy:
            assert proxy.stdout
            proxy.stdout.readline()
            try:
                yield lab, nodes
            finally:
                proxy.terminate()
    finally:
        lab.close()


def furnish(machine: Machine) -> tuple[Node, ...]:
    """Make it all nodes: an address for each, a sshd, and what stands for systemd and a runtime there."""
    folder = machine.disk / "var/bench"
    folder.mkdir()
    cases = " ".join(f"{verb}) sleep {seconds} ;;" for verb, seconds in PAUSES.items())
    texts = {"sshd": SSHD, "session": SESSION, "podman": "", "systemctl": f"case $1 in {cases} esac\n"}
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}" if name != "sshd" else text)
        (folder / name).chmod(0o755)
    network = machine.address.rpartition(".")[0]
    nodes = tuple(node(machine, f"{network}.{100 + number}", number) for number in range(1, COUNTS[-1] + 1))
    (machine.disk / "var/lib/nap").mkdir()
    for one in nodes:
        for name in ("systemd/system", "lib"):
            (machine.disk / "var/nodes" / one.address / name).mkdir(parents=True)
    adding = "; ".join(f"ip address add {one.address}/24 dev eth0" for one in nodes)
    machine.console("sh", "-c", f"{adding}; /usr/sbin/sshd -f /var/bench/sshd")
    return nodes


def node(machine: Machine, address: str, number: int) -> Node:
    login = Login("root", slow_line.here(number), PORT, machine.host_key)
    return Node(
        f"node{number}", login, address, "eth0", "10.0.0.0/8", slots=1, memory=1 << 30, cores=1, arch="amd64",
        runtime="/var/bench/podman", kind="podman",
    )  # fmt: skip


def measure(root: Path, lab: Lab, nodes: tuple[Node, ...]) -> float:
    """Seconds until all have their units and have started them: the first run's, which connects."""
    links = Links(lab.key)
    engine = SystemdEngine(Site(str(root), "c0ffee", 1000, 512), tools(root, links, nodes))
    first, *more = [submit(engine, root / str(run), job(nodes, run)) for run in range(1, ROUNDS + 1)]
    links.close()
    line(f"{len(nodes):3} nodes, first run", [first])
    line(f"{len(nodes):3} nodes, connected", more)
    return first


def submit(engine: SystemdEngine, folder: Path, work: Job) -> float:
    folder.mkdir(parents=True)
    started = time.perf_counter()
    handle = engine.submit(work, folder)
    seconds = time.perf_counter() - started
    engine.stop(handle, OVER)
    return seconds


def tools(root: Path, links: Links, nodes: tuple[Node, ...]) -> Tools:
    inspected = subprocess.CompletedProcess((), 0, json.dumps({"Env": []}), "")
    runtime = cast(Runtime, SimpleNamespace(run=lambda *_: inspected))
    cleanup = NodeCleanup(root / "owed", links, lambda: nodes, every=60)
    allocator = Allocator(lambda: nodes, Policy.SPREAD, 22000)
    etcd = Etcd("https://10.0.0.1:2379", "v3", ca="ca", cert="cert", key="key", user="u", password="p")
    registry = Registry(lambda image: image, "10.0.0.1:5000", ca="ca")
    return Tools(
        links, lambda: nodes, lambda: etcd, lambda: registry, runtime, NodeTiming(), allocator, cleanup,
        "amd64",
    )  # fmt: skip


def job(nodes: tuple[Node, ...], run: int) -> Job:
    """A slave on each."""
    placed = tuple(
        replace(slave, node=node.name, address=node.address, port=22000)
        for node, slave in zip(nodes, names.slaves("far", run, (1,) * len(nodes)), strict=True)
    )
    mpi = Mpi("openmpi5", len(nodes), ("./far",))
    image = f"10.0.0.1:5000/far@sha256:{0:064}"
    return Job("far", run, 1, "c0ffee", image, None, "openmpi", slaves=placed, mpi=mpi)


if __name__ == "__main__":
    sys.exit(main())
