"""What goes wrong with a node's disk, runtime or sshd, or with the machine: told, ended, nothing left."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.containers.home import SharedStacks
from support.nap_home import App, NapHome
from support.nodes.home import down, left
from support.nodes.node import Node
from support.nodes.runs import GATED, LINES, Run, program, said, wait_until_clean

from receiver.home.paths import Home

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
# The first slave's rank writes until there is no room.
WRITES = """\
case $(hostname) in *-slave1) mkdir /tmp/first || exit 0 ;; *) exit 0 ;; esac
echo begun; while seq 1000 >>"$NAP_SHARE/file"; do sleep 0.1; done; sleep 1; exit 9
"""
# It says a line each 10 ms for as long as it is heard.
TALKS = """\
case $(hostname) in *-slave1) mkdir /tmp/first || exit 0 ;; *) exit 0 ;; esac
echo begun; while sleep 0.01; do echo "$(seq 1000 | tr '\\n' ' ')"; done
"""


def not_started(node: Node) -> str:
    return f"the node {node.name} could not start its slaves: "


# --- room ---


def test_a_node_without_room_for_the_image_is_named(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    nodes[1].fill_disk()
    ran = app.push("strict")
    assert re.search(not_started(nodes[1]) + ".* no space left on device", ran.out), ran.out
    nodes[1].free_disk()
    wait_until_clean(impatient, nodes)


def test_a_node_without_room_for_a_runs_files_is_named(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    nodes[1].fill_run(8192)
    ran = app.push("strict")
    assert re.search(not_started(nodes[1]) + ".* No space left on device", ran.out), ran.out
    nodes[1].free_run()
    wait_until_clean(impatient, nodes)


def test_a_program_meets_the_end_of_the_room_for_its_files(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(new_nodes_app(program(WRITES)), nodes)
    node, _ = run.slave(1)
    node.fill_disk()
    run.end()
    assert run.app.runs()[0]["exit_code"] == 9
    node.free_disk()
    wait_until_clean(impatient, nodes)


def test_a_run_whose_output_has_no_room_any_more_is_ended(
    new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(new_nodes_app(program(TALKS)), nodes)
    node, _ = run.slave(1)
    node.fill_run(1 << 16)
    told = run.end()
    node.free_run()
    assert f"the node {node.name} has no room for the run's output" in told


def test_a_slave_that_is_killed_where_runs_have_no_room_is_named_with_its_node(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    for index in (3, 1):
        run = Run.pushed(app, nodes)
        node, container = run.slave(index)
        pid = node.console("podman", "container", "inspect", "--format", "{{.State.Pid}}", container)
        node.fill_run(0)
        node.console("kill", "-KILL", pid.strip())
        told = run.end()
        node.free_run()
        assert re.search(rf"failed, exit \d+ \(.*\b{node.name}\b", told), told
        wait_until_clean(impatient, nodes)


# --- the runtime ---


def test_a_node_whose_runtime_fails_in_mid_run_is_cleaned_once_it_works(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(new_nodes_app(program(GATED)), nodes)
    node, _ = run.slave(3)
    node.break_runtime()
    run.open()
    run.end()
    assert run.app.runs()[0]["exit_code"] == 6
    node.mend_runtime()
    wait_until_clean(impatient, nodes)
    assert node.console("sh", "-c", "pgrep --full '[s]shd_config' || true") == ""


# --- the machine ---


def test_a_run_whose_node_is_booted_anew_ends_and_leaves_nothing(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    for index in (3, 1):
        run = Run.pushed(app, nodes)
        node, _ = run.slave(index)
        node.reboot()
        assert re.search(rf"failed, exit [0-9]+ \(.*\b{node.name}\b", run.end())
        wait_until_clean(impatient, nodes)


def test_down_tells_of_a_node_that_does_not_answer(
    nodes_home: NapHome, image_stacks: SharedStacks, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program(GATED))
    run = Run.pushed(app, nodes)
    frozen, _ = run.slave(3)
    frozen.freeze()
    said = down(nodes_home, image_stacks)
    assert f"what is left of {app.name} run 1 is removed later: on {frozen.name}: " in said
    assert left([node for node in nodes if node is not frozen], Home(nodes_home.root)) == []
    run.end()
    nodes_home.up()
    assert app.wait() == 130
    frozen.thaw()
    wait_until_clean(nodes_home, nodes)


# --- sshd ---


def test_an_sshd_that_allows_one_session_is_enough(new_nodes_app: NewApp, nodes: tuple[Node, ...]) -> None:
    for node in nodes:
        node.limit_sessions(1)
    run = Run.pushed(new_nodes_app(program(GATED)), nodes)
    run.open()
    run.end()
    assert said(run.app, 1, LINES) == LINES
