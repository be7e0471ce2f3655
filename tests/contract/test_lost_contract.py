"""What a run comes to that loses a part of it: real pushes and kill -9, on every engine, with every MPI."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from support.engines import ContainersEngine, FleetEngine, LocalEngine, NodesEngine
from support.fleet.cluster import Cluster
from support.nap_home import App
from support.nodes.node import Node

from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

NewApp = Callable[..., App]
SLAVES = 3
# A rank goes on until it is told to end, and then ends well.
TICKS = """\
#!/bin/sh
trap 'exit 0' USR1
while sleep 1; do echo "tick on $(hostname)"; done
"""
# By what is killed on the second slave: what the pusher is told. Some MPICHs do not say which rank it was.
LOST = {
    "daemon": r"the MPI daemon on {slave} was killed by signal 9 \(SIGKILL\)",
    "rank": r"(rank 1|a rank) on {slave}: killed by signal 9 \(SIGKILL\)",
    "sshd": r"sshd on {slave} ended, or cannot be reached any more",
    "unit": r"the slave {slave} was (lost|killed)",
    "slave": r"(the slave )?{slave}(: the container \S+)? was killed by signal 9 \(SIGKILL\)",
}
mpis = pytest.mark.parametrize("mpi", ["openmpi5", "openmpi4", "mpich"])


def begun(app: App) -> subprocess.Popen[str]:
    """A push whose ranks have all ticked."""
    push = app.start_push()
    silent, seen = {f"tick on {app.name}-slave{index + 1}" for index in range(SLAVES)}, []
    assert push.stderr
    for line in push.stderr:
        seen.append(line)
        silent.discard(line.removeprefix("remote: ").strip())
        if not silent:
            return push
    raise AssertionError("".join(seen))


class LostContract:
    """`on` is one of `engines_lab`."""

    @mpis
    def test_a_run_that_loses_a_part_of_it_fails_and_names_the_slave(self, on: Any, mpi: str) -> None:
        manifest = f"build: chmod +x ticks\nto: ticks\nhosts: {SLAVES}\n"
        app = on.new_app_with(mpi, manifest, {"ticks": TICKS})
        for run, part in enumerate(on.parts, start=1):
            push = begun(app)
            on.signal(app, 2, part, signal.SIGKILL)
            if part == "sshd" and mpi == "mpich":  # which does not miss it
                for index in range(SLAVES):
                    on.signal(app, index + 1, "rank", signal.SIGUSR1)
            told = push.communicate(timeout=100)[1]
            slave = rf"{app.name}-slave2( on \S+)?"
            assert re.search(rf": failed, exit \d+ \({LOST[part].format(slave=slave)}", told), (part, told)
            assert app.wait(str(run)) not in (0, 124)
        assert on.left(app) == []


class TestLocal(LostContract):
    @pytest.fixture
    def on(self, new_app: NewApp, new_machine_app: NewApp) -> LocalEngine:
        return LocalEngine(new_app, new_machine_app)


class TestContainers(LostContract):
    @pytest.fixture
    def on(self, new_containers_app: NewApp, runtime: Runtime) -> ContainersEngine:
        return ContainersEngine(new_containers_app, runtime)


class TestNodes(LostContract):
    @pytest.fixture
    def on(self, new_nodes_app: NewApp, nodes: tuple[Node, ...]) -> NodesEngine:
        return NodesEngine(new_nodes_app, nodes)


class TestNodesOfFleet(LostContract):
    @pytest.fixture
    def on(self, fleet: Cluster, new_nodes_app: NewApp, nodes: tuple[Node, ...]) -> FleetEngine:
        return FleetEngine(new_nodes_app, nodes, fleet)
