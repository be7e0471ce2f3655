"""What runs get of nodes: with ranks alone the fewest slaves there is room for; and who is told of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.etcd import wait_once
from support.nap_home import App, wait_for
from support.nodes.node import Node

from receiver.home.paths import Home
from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]
NewApp = Callable[..., App]
MEMORY = 128 << 20
# What is said of each node.
News = dict[str, dict[str, Any]]
# Of each of the three nodes.
SLOTS = len(os.sched_getaffinity(0))


def test_what_never_fits_is_refused_before_anything_has_changed(new_nodes_app: NewApp) -> None:
    app = new_nodes_app({"mpi.xml": f"run: hostname\nnp: {3 * SLOTS + 1}\n"})
    pushed = app.push()
    assert pushed.code == 1
    sentence = f"needs {3 * SLOTS + 1} slots; the 3 nodes have {3 * SLOTS} in all"
    assert any(sentence in line for line in pushed.out.splitlines()), pushed.out
    assert app.runs() == []


def test_ranks_alone_fill_as_many_nodes_as_it_takes_and_etcd_has_what_they_took(
    new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    ranks = SLOTS + 1
    script = "mpirun hostname; echo $((40 + 2)) begun; sleep 600"
    app = new_nodes_app({"mpi.xml": f"run: {script}\nnp: {ranks}\nmemory: 128M\n"})
    push = app.start_push()
    wait_for(push.stderr, "42 begun")
    sizes = {f"{app.name}-slave1": ranks - ranks // 2, f"{app.name}-slave2": ranks // 2}
    assert app.lines() == sorted(["42 begun", *(name for name, size in sizes.items() for _ in range(size))])
    (run,) = app.runs()
    assert (run["slaves"], run["np"]) == (2, ranks)

    told = news(app, lambda told: used(told, "slots") == ranks and states(told) == {"open"})
    assert used(told, "memory") == 2 * MEMORY
    taken = {name: value["slots"]["used"] for name, value in told.items()}
    assert sorted(taken.values()) == sorted((0, *sizes.values()))
    for node in nodes:
        assert limits(node, app).count(str(MEMORY)) == (taken[node.name] > 0)

    assert app.home.nap("cancel", app.name).code == 0
    push.communicate(timeout=60)
    assert app.home.nap("nodes", "drain", "node3").code == 0
    try:
        news(app, lambda told: used(told, "slots") == 0 and states(told) == {"open", "drained"})
    finally:
        app.home.nap("nodes", "resume", "node3")


def limits(node: Node, app: App) -> list[str]:
    """Of the memory of each of its containers there."""
    names = node.console("podman", "ps", "--quiet", "--filter", f"label=nap.app={app.name}").split()
    inspect = ("podman", "inspect", "--format", "{{.HostConfig.Memory}}", *names)
    return node.console(*inspect).split() if names else []


def used(told: News, what: str) -> int:
    return sum(value[what]["used"] for value in told.values())


def states(told: News) -> set[str]:
    return {value["state"] for value in told.values()}


def news(app: App, awaited: Callable[[News], bool]) -> News:
    """What etcd has of nodes, once it is as awaited."""
    etcd = StoreSettings.load(Home(app.home.root).etcd_settings)
    store, folder, deadline = open_store(etcd.endpoint), etcd.keys.nodes, time.monotonic() + 60
    while True:
        listing = store.list(folder)
        told = {key.rpartition("/")[2]: json.loads(value) for key, value in listing.entries.items()}
        if awaited(told):
            return told
        assert time.monotonic() < deadline, told
        wait_once(store, folder, listing.index, 5)
