"""The engines as the tests of their contract see them: a home that is up on each, and a look from outside."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.containers import home as containers_home
from support.fleet.cluster import Cluster
from support.nap_home import App
from support.nodes import home as nodes_home
from support.nodes.node import Node
from support.nodes.runs import GO, shared, slave, wait_until_clean

from receiver.home.paths import Home
from units.capsule import process_tree
from units.oci.runtime import Runtime

NewApp = Callable[..., App]
Files = dict[str, str | bytes]
_WITHIN = 60
# By what a test calls a part of a slave: what its process is called.
_PARTS = {"daemon": ("prted", "orted", "hydra_pmi_proxy"), "rank": ("ticks",), "sshd": ("sshd",)}
# What of a manifest chooses an MPI where stacks are images: Fortran's has Debian's.
_MPIS = {"openmpi5": "", "openmpi4": "from: empty.f90\n", "mpich": "mpi: mpich\n"}
_FORTRAN: Files = {"empty.f90": "end\n"}


def part_of(slave: int, part: str) -> list[int]:
    """Of a slave, by the number of its first process: the number of a part of it, if that runs."""
    if part == "slave":
        return [slave]
    found = [pid for pid in dict.fromkeys(process_tree.of(slave)) if _name(pid) in _PARTS[part]]
    return found[-1:]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _slave_number(app: App, index: int) -> int:
    (entry,) = (entry for entry in app.home.json("ps") if entry["app"] == app.name)
    (unit,) = (unit for unit in entry["units"] if unit["name"].endswith(f"slaves_{app.name}@{index}"))
    return int(unit["pid"])


@dataclass(frozen=True)
class LocalEngine:
    new_app: NewApp
    new_machine_app: NewApp | None = None
    parts = ("daemon", "rank", "slave")

    def new_app_with(self, mpi: str, manifest: str, files: Files) -> App:
        """With one of three MPIs: nap's Open MPI 5 or MPICH, or the machine's Open MPI 4."""
        new_app = self.new_machine_app if mpi == "openmpi4" else self.new_app
        assert new_app
        chosen = f"mpi: {mpi.rstrip('45')}\n"
        return new_app({"mpi.xml": f"{manifest}{chosen}", **files})

    def signal(self, app: App, slave: int, part: str, number: int) -> None:
        """Send it to a part of a slave: `slave`, `daemon`, `rank` or `sshd`."""
        for pid in part_of(_slave_number(app, slave), part):
            os.kill(pid, number)

    def open_gate(self, app: App, run: int) -> None:
        """Let the first slave's rank go on, which waits at the FIFO `gate` in /share."""
        gate = _folder(app, run) / "share/gate"
        gate.write_text(GO)

    def until_over(self, app: App, run: int) -> None:
        """Until the run has ended, whoever looks after it."""
        _until_runner_ended(app, run)

    def left(self, app: App) -> list[str]:
        """Processes of the app's runs."""
        return app.processes()


@dataclass(frozen=True)
class ContainersEngine:
    new_app: NewApp
    runtime: Runtime
    parts = ("daemon", "rank", "slave", "sshd")

    def new_app_with(self, mpi: str, manifest: str, files: Files) -> App:
        return self.new_app({"mpi.xml": f"{manifest}{_MPIS[mpi]}", **files, **_FORTRAN})

    def signal(self, app: App, slave: int, part: str, number: int) -> None:
        for pid in part_of(_slave_number(app, slave), part):
            if self.runtime.rootless:
                self.runtime.ask("unshare", "kill", f"-{number}", str(pid))
            else:
                os.kill(pid, number)

    def open_gate(self, app: App, run: int) -> None:
        """From outside: the slave may be gone before a shell in it could say that it has written."""
        gate = _folder(app, run) / "share/gate"
        if self.runtime.rootless:
            self.runtime.ask("unshare", "sh", "-c", f"printf '{GO}' >\"$0\"", str(gate))
        else:
            gate.write_text(GO)

    def until_over(self, app: App, run: int) -> None:
        _until_runner_ended(app, run)

    def left(self, app: App) -> list[str]:
        app.wait_until_clean()
        return [*containers_home.left(app.home, self.runtime), *app.processes()]


@dataclass(frozen=True)
class NodesEngine:
    new_app: NewApp
    nodes: tuple[Node, ...]
    parts = ("daemon", "rank", "slave", "sshd", "unit")

    def new_app_with(self, mpi: str, manifest: str, files: Files) -> App:
        return self.new_app({"mpi.xml": f"{manifest}slots: 1\n{_MPIS[mpi]}", **files, **_FORTRAN})

    def signal(self, app: App, index: int, part: str, number: int) -> None:
        node, container = slave(app, self.nodes, index)
        if part == "unit":
            self.stop_unit(app, node, index)
            return
        listed = node.console("podman", "top", container, "hpid", "comm").splitlines()[1:]
        # A process that has just ended has no number any more.
        there = [(pid, name) for pid, name in map(str.split, listed) if pid.isdigit()]
        found = [pid for pid, name in there if part == "slave" or name in _PARTS[part]]
        if found:
            node.console("kill", f"-{number}", found[0 if part == "slave" else -1])

    def stop_unit(self, app: App, node: Node, index: int) -> None:
        """A slave's, as an admin of its node may do it."""
        node.console("systemctl", "stop", f"{Home(app.home.root).id}_slaves_{app.name}@{index}.service")

    def open_gate(self, app: App, run: int) -> None:
        node, _ = slave(app, self.nodes, 1)
        (shared(app, node, run) / "gate").write_text(GO)

    def until_over(self, app: App, _run: int) -> None:
        unit = f"{Home(app.home.root).id}_master_{app.name}*.service"
        for node in self.nodes:
            node.console("sh", "-c", f"while systemctl is-active --quiet '{unit}'; do sleep 0.1; done")

    def left(self, app: App) -> list[str]:
        """A fleet's agents remove a unit some time after they were told."""
        app.wait_until_clean()
        wait_until_clean(app.home, self.nodes)
        return nodes_home.left(self.nodes, Home(app.home.root))


@dataclass(frozen=True)
class FleetEngine(NodesEngine):
    cluster: Cluster

    def stop_unit(self, app: App, node: Node, index: int) -> None:
        """By `fleetctl destroy`."""
        run = app.runs()[-1]["number"]
        code, _ = self.cluster.delete(f"{Home(app.home.root).id}_slaves_{app.name}.{run}@{index}.service")
        assert code == 204


def _folder(app: App, run: int) -> Path:
    return Home(app.home.root).run(app.name, run)


def _until_runner_ended(app: App, run: int) -> None:
    pid = int((_folder(app, run) / "pid").read_text().split()[0])
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([watch], [], [], _WITHIN)[0]
    os.close(watch)
