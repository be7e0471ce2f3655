"""Runs on nodes that tests hold at a point of their life, and what is to be seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from support.nap_home import App, NapHome, wait_for
from support.nodes.home import left
from support.nodes.node import Node
from support.polling import until

from receiver.home.paths import Home

# One rank of the first slave waits until somebody writes into its pipe; then there is much to be said.
GATED = """\
case $(hostname) in *-slave1) mkdir /tmp/first || exit 0 ;; *) exit 0 ;; esac
mkfifo "$NAP_SHARE/gate"; echo begun; read go < "$NAP_SHARE/gate"; seq 20000; echo and done
"""
# What a rank that waits is told.
GO = "go\n"
LINES = ["begun", *map(str, range(1, 20_001)), "and done"]


def program(text: str, hosts: int = 3) -> dict[str, str | bytes]:
    """A slave on each of so many nodes; 6 when all goes well.

    It is not a rank that fails: Open MPI would drop what others' output is on its way.
    """
    manifest = f"run: mpirun sh program && exit 6\nhosts: {hosts}\nslots: 2\n"
    return {"mpi.xml": manifest, "program": text}


@dataclass
class Run:
    """A run that goes on: its ranks have begun."""

    app: App
    nodes: tuple[Node, ...]
    push: Popen[str] | None = None

    @classmethod
    def pushed(cls, app: App, nodes: tuple[Node, ...], begun: str = "begun") -> Run:
        run = cls(app, nodes, app.start_push("strict"))
        run.wait_for(begun)
        return run

    def wait_for(self, text: str) -> None:
        assert self.push
        wait_for(self.push.stderr, text)

    def slave(self, index: int) -> tuple[Node, str]:
        """Its node and its container there."""
        return slave(self.app, self.nodes, index)

    def shared(self) -> Path:
        """The first slave's /share, as this machine has it; the run is the app's latest."""
        node, _ = self.slave(1)
        return shared(self.app, node, len(self.app.runs()))

    def open(self) -> None:
        (self.shared() / "gate").write_text(GO)

    def end(self) -> str:
        """What the pusher is told from here on."""
        assert self.push
        return str(self.push.communicate(timeout=100)[1])


def slave(app: App, nodes: tuple[Node, ...], index: int) -> tuple[Node, str]:
    """The node of a slave of the run that goes on, and its container there."""
    name = f"{Home(app.home.root).id}_{app.name}_slave{index}"
    (node,) = (node for node in nodes if name in containers(node))
    return node, name


def shared(app: App, node: Node, run: int) -> Path:
    """What slaves on the node see as /share, from outside.

    A slave may be gone before a command in it could say how it ended.
    """
    return node.disk / "var/lib/nap" / Home(app.home.root).id / app.name / str(run) / "share"


def containers(node: Node) -> list[str]:
    return node.console("podman", "ps", "--format", "{{.Names}}").split()


def said(app: App, run: int, lines: list[str]) -> list[str]:
    """The run's lines but for what mpirun says itself."""
    known = set(lines)
    return [line for line in app.logs(str(run)).splitlines() if line in known]


def wait_until_clean(home: NapHome, nodes: tuple[Node, ...]) -> None:
    until(lambda: left(nodes, Home(home.root)), [], 60)
