"""What goes wrong with nodes in the middle of a push or a run: it is told, it ends, and nothing is left."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.nap_home import App, NapHome
from support.nodes.node import Node
from support.nodes.runs import GATED, Run, program, wait_until_clean

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
# One rank of the first slave says a line each 10 ms until it is told to end.
COUNTS = """\
case $(hostname) in *-slave1) mkdir /tmp/first || exit 0 ;; *) exit 0 ;; esac
i=0; until [ -e "$NAP_SHARE/enough" ]; do echo line $((i += 1)); sleep 0.01; done
"""


@pytest.fixture
def app(new_nodes_app: NewApp) -> App:
    return new_nodes_app(program(GATED))


# --- slaves ---


def test_a_slave_that_is_killed_is_named(app: App, nodes: tuple[Node, ...]) -> None:
    run = Run.pushed(app, nodes)
    node, name = run.slave(3)
    node.console("podman", "kill", name)
    assert f"the slave {app.name}-slave3 on {node.name} was killed by signal 9 (SIGKILL)" in run.end()
    assert app.runs()[0]["exit_code"] == 137


def test_a_slave_that_cannot_start_is_told_with_its_last_words(app: App, nodes: tuple[Node, ...]) -> None:
    nodes[1].break_runtime()
    ran = app.push("strict")
    nodes[1].mend_runtime()
    # Whether it had started before it ended is for systemd to say; its last words are the same.
    lost = rf"the slave \S+-slave\d on {nodes[1].name} was lost \(exit 126\)"
    not_started = f"the node {nodes[1].name} could not start its slaves"
    assert re.search(rf"({lost}|{not_started}): (?!Job for)\w", ran.out), ran.out


# --- the line to nodes ---


def test_no_line_is_lost_or_doubled_when_connections_are_cut(
    new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(new_nodes_app(program(COUNTS)), nodes, "line 50")
    for node in nodes:
        node.restart_sshd()
    (run.shared() / "enough").touch()
    run.end()
    assert run.app.wait() == 6
    lines = [line for line in run.app.logs().splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert len(lines) > 50


# --- nodes ---


def test_a_node_that_does_not_answer_is_named_and_cleaned_when_it_is_back(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    run = Run.pushed(app, nodes)
    frozen, _ = run.slave(3)
    frozen.freeze()
    assert f"the node {frozen.name} has not answered for 12 s" in run.end()
    assert app.runs()[0]["exit_code"] == 137
    others = tuple(node for node in nodes if node is not frozen)
    wait_until_clean(impatient, others)
    # It is not asked for anything: the next one waits for it.
    again = Run(app, nodes, app.start_push("strict"))
    again.wait_for("waiting for room")
    frozen.thaw()
    again.wait_for("begun")
    master, _ = again.slave(1)
    master.power_off()
    assert f"the node {master.name} has not answered for 12 s" in again.end()
    master.power_on()
    wait_until_clean(impatient, nodes)


def test_a_node_that_is_away_at_submit_is_named_and_nothing_is_left_elsewhere(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    nodes[2].cut_off()
    ran = app.push("strict")
    address = f"ops@{nodes[2].address}"
    assert f"the node {nodes[2].name} could not start its slaves: {address}" in ran.out
    wait_until_clean(impatient, nodes[:2])
    nodes[2].join()
    wait_until_clean(impatient, nodes)


# --- ends ---
