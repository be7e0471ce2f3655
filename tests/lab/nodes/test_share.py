"""Nodes that have a directory in common: a run's ranks find each other's files there, whatever their node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.nap_home import App, NapHome
from support.nodes.lab import SHARED, Lab
from support.nodes.node import Node

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]
NewApp = Callable[..., App]

MPIRUN = "mpirun --map-by ppr:1:node -np 3 sh -c"
# As many slots as a node has: a slave on each.
MANIFEST = f"""\
run: |
  {MPIRUN} 'hostname >"$NAP_SHARE/$(hostname).txt"; touch "$NAP_SHARE/same.txt"'
  {MPIRUN} 'echo $(hostname): $(cat "$NAP_SHARE"/*-slave*.txt) of $(stat -c %u "$NAP_SHARE/same.txt")'
hosts: 3
slots: {len(os.sched_getaffinity(0))}
results: ["*.txt"]
"""


@pytest.fixture(scope="module")
def sharing(nodes_home: NapHome, nodes_lab: Lab) -> Iterator[Path]:
    """The shared home uses the directory that its nodes share: where that is on this machine."""
    nodes_home.settings(f"share: {SHARED}\n")
    nodes_home.up()
    yield nodes_lab.share
    nodes_home.settings("")
    nodes_home.up()


def test_ranks_of_all_nodes_find_each_others_files_and_results_come_once(
    sharing: Path, new_nodes_app: NewApp
) -> None:
    app = new_nodes_app({"mpi.xml": MANIFEST})
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    slaves = [f"{app.name}-slave{index}" for index in (1, 2, 3)]
    assert app.lines() == [f"{slave}: {' '.join(slaves)} of 1000" for slave in slaves]
    assert "was left out" not in pushed.out
    names = {result["name"] for result in app.home.json("results", app.name)}
    assert names == {f"share/{name}.txt" for name in ("same", *slaves)}
    app.wait_until_clean()
    assert list(sharing.iterdir()) == []


def test_a_node_whose_directory_is_another_one_is_told_and_gets_no_run(
    sharing: Path, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    nodes[1].console("mount", "-t", "tmpfs", "-o", "mode=1777", "other", SHARED)
    try:
        app = new_nodes_app({"mpi.xml": MANIFEST})
        pushed = app.push("strict")
        checked = app.home.nap("nodes", "check", "node2")
    finally:
        nodes[1].console("umount", SHARED)
    assert (pushed.code, checked.code) == (1, 1)
    assert f"{SHARED} is another directory than on node1" in checked.out
    (ended,) = (line for line in pushed.out.splitlines() if "failed, exit 1" in line)
    assert "the node node2 could not start its slaves" in ended
    assert "which another node has just made, is not there: is it another directory?" in ended
    app.wait_until_clean()
    assert list(sharing.iterdir()) == []
