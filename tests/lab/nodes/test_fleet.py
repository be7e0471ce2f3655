"""Pushes with the engine fleet: a cluster of its documented API has the session's nodes for its machines."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.fleet.cluster import Cluster
from support.nap_home import App
from support.nodes.node import Node
from support.nodes.runs import wait_until_clean

from receiver.home.paths import Home

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]
NewApp = Callable[..., App]

MANIFEST = """\
hosts: 3
slots: 1
from: hello.c
to: hello
env: {SECRET: hush}
"""
HELLO = """\
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int rank, all, sum;
    char node[MPI_MAX_PROCESSOR_NAME];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Get_processor_name(node, &all);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("%d of %d on %s, %s\\n", rank, sum, node, getenv("SECRET"));
    MPI_Finalize();
}
"""


def program() -> dict[str, str | bytes]:
    """Ranks that are no MPI's."""
    return {
        "mpi.xml": "build: chmod +x program\nto: program\nhosts: 3\nslots: 1\n",
        "program": "#!/bin/sh\necho begun\n",
    }


def test_a_push_runs_where_fleet_put_it(
    fleet: Cluster, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app({"hello.c": HELLO, "mpi.xml": MANIFEST})
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert app.lines() == [f"{rank} of 3 on {app.name}-slave{rank + 1}, hush" for rank in range(3)]
    machines = [f"id-{node.name}" for node in nodes]
    assert fleet.seen == units_of(app, 1, machines)
    # The next one is where machines still have states of this one to take away.
    fleet.machines = dict(reversed(fleet.machines.items()))
    again = app.push("strict")
    assert again.code == 0, again.out
    assert fleet.seen == units_of(app, 1, machines) | units_of(app, 2, machines[::-1])
    app.wait_until_clean()
    assert fleet.units == {}


def units_of(app: App, run: int, machines: list[str]) -> dict[str, str]:
    """A run's units, with their machines where its slaves are on these."""
    prefix, name = Home(app.home.root).id, f"{app.name}.{run}"
    slaves = {
        f"{prefix}_{kind}_{name}@{index}.service": machine
        for index, machine in enumerate(machines, 1)
        for kind in ("slaves", "discovery")
    }
    return {**slaves, f"{prefix}_master_{name}.service": machines[0]}


def test_a_run_that_fleet_has_no_machine_for_is_told_what_it_asks_for(
    fleet: Cluster, new_nodes_app: NewApp
) -> None:
    app = new_nodes_app(program())
    metadata = fleet.machines["id-node3"].metadata
    fleet.machines["id-node3"].metadata = {"arch": "other"}
    pushed = app.push("strict")
    fleet.machines["id-node3"].metadata = metadata
    name = f"{Home(app.home.root).id}_slaves_{app.name}.1"
    assert f"fleet found no machine for {name}@3.service within 6 s" in pushed.out
    asked = f"MachineMetadata=arch={metadata['arch']} and Conflicts={name}@*.service"
    assert f"it asks for {asked}" in pushed.out
    app.wait_until_clean()
    assert fleet.units == {}


def test_a_fleet_that_stops_answering_is_told_and_cleaned_when_it_is_back(
    fleet: Cluster, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program())
    fleet.puts = 4
    pushed = app.push("strict")
    assert re.search(r"fleet at http://\S+ does not answer", pushed.out), pushed.out
    assert len(fleet.units) == 4
    fleet.emptied.clear()
    fleet.puts, fleet.silent = None, False
    assert fleet.emptied.wait(30)
    wait_until_clean(app.home, nodes)


def test_a_slave_that_cannot_start_is_told_with_its_last_words(
    fleet: Cluster, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program())
    nodes[1].break_runtime()
    pushed = app.push("strict")
    nodes[1].mend_runtime()
    lost = r"the slave \S+-slave2 on node2 was lost \(exit 126\): \w"
    assert re.search(lost, pushed.out), pushed.out
    app.wait_until_clean()
    assert fleet.units == {}
