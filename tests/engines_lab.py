"""The engines as the tests of their contract see them: a home that is up on each, and a look from outside."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import containers_home
import nodes_home
from nap_lab import App
from node_lab import Node
from nodes_runs import GO, shared, slave

from receiver.paths import Home
from units.containers.runtime import Runtime

NewApp = Callable[..., App]
_WITHIN = 60


@dataclass(frozen=True)
class LocalEngine:
    new_app: NewApp

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
        return [*containers_home.left(app.home, self.runtime), *app.processes()]


@dataclass(frozen=True)
class NodesEngine:
    new_app: NewApp
    nodes: tuple[Node, ...]

    def open_gate(self, app: App, run: int) -> None:
        node, _ = slave(app, self.nodes, 1)
        (shared(app, node, run) / "gate").write_text(GO)

    def until_over(self, app: App, _run: int) -> None:
        unit = f"{Home(app.home.root).id}_master_{app.name}.service"
        for node in self.nodes:
            node.console("sh", "-c", f"while systemctl is-active --quiet {unit}; do sleep 0.1; done")

    def left(self, app: App) -> list[str]:
        return nodes_home.left(self.nodes, Home(app.home.root))


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
