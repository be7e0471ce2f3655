"""The receiver, or etcd, is killed at each step of a push to nodes: it goes on there, and nothing is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, PIPE

import pytest
from support.nap_home import WITHIN, App, wait_for
from support.nodes.node import Node
from support.nodes.runs import GATED, GO, LINES, Run, program, said, wait_until_clean
from support.polling import until

from receiver import clock
from receiver.home.paths import Home
from registry.etcd import server as etcd_server
from registry.node_proxy import proxy as node_proxy
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]


@pytest.fixture
def app(new_nodes_app: NewApp) -> App:
    return new_nodes_app(program(GATED))


def test_a_push_that_is_being_built_is_refused(
    new_nodes_app: NewApp, nodes: tuple[Node, ...], podman: Runtime
) -> None:
    app = new_nodes_app({"mpi.xml": "build: echo comp''iling; sleep 60\nto: x\nhosts: 3\n", "x": ""})
    push = app.start_push()
    wait_for(push.stderr, "compiling")
    app.home.kill_daemon()
    assert "the receiver went away" in push.communicate(timeout=60)[1]
    assert push.returncode == 1
    app.home.up()
    assert app.runs() == []
    assert podman.ask("ps", "--all", "--quiet", "--filter", f"label=nap.home={app.home.root}") == ""


def test_a_run_is_submitted_anew_of_which_some_nodes_had_their_units(
    new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(program("true\n"))
    # Who has a connection to each node does not give up the frozen one at once.
    assert "(run 1: exit 6)" in app.push("strict").out
    app.wait_until_clean()
    app.commit(program(GATED))
    nodes[2].freeze()
    push = app.start_push()
    for node in nodes[:2]:
        active = f"systemctl is-active --quiet '*_slaves_{app.name}@*'"
        node.console("sh", "-c", f"until {active}; do sleep 0.1; done", within=120)
    app.home.kill_daemon()
    push.communicate(timeout=60)
    nodes[2].thaw()
    app.home.up()
    wait_until_begun(app, 2)
    Run(app, nodes).open()
    assert app.wait("2") == 6
    assert said(app, 2, LINES) == LINES


def test_a_run_goes_on_without_receiver_and_etcd_and_ends_with_its_whole_output(
    app: App, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(app, nodes)
    app.home.kill_daemon()
    etcd_server.stop(Home(app.home.root).etcd)
    assert "the receiver went away" in run.end()
    app.home.up()
    run.open()
    assert app.wait() == 6
    assert said(app, 1, LINES) == LINES


def test_a_run_that_ended_while_no_receiver_was_there_is_recorded_with_its_true_times(
    app: App, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(app, nodes)
    gate = run.shared() / "gate"
    app.home.kill_daemon()
    run.end()
    killed = clock.now()
    gate.write_text(GO)
    until(lambda: any(node.console("find", "/run", "-name", "ended") for node in nodes), True, WITHIN)
    taken_up = clock.now()
    app.home.up()
    assert app.wait() == 6
    record = app.runs()[0]
    assert record["started"] < killed < record["ended"] < taken_up
    took = clock.seconds(record["ended"]) - clock.seconds(record["started"])
    assert record["seconds"]["run"] == pytest.approx(took, abs=0.002)


def test_a_run_is_gathered_on_after_receiver_and_etcd_were_away(app: App, nodes: tuple[Node, ...]) -> None:
    home = Home(app.home.root)
    with etcd_kept_from(nodes[2], home):
        push = app.start_push()
        wait_for(push.stderr, "slave1")
        app.home.kill_daemon()
        etcd_server.stop(home.etcd)
        push.communicate(timeout=60)
    app.home.up()
    wait_until_begun(app)
    run = Run(app, nodes)
    run.open()
    assert app.wait() == 6
    assert said(app, 1, LINES) == LINES


def test_without_etcd_for_a_minute_a_run_goes_on_and_one_that_gathers_ends(
    new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    """The minute is that of `gather_timeout`. One run is on one node, the other on the two others."""
    running = Run.pushed(new_nodes_app(program(GATED, hosts=1)), nodes)
    taken, _ = running.slave(1)
    app = new_nodes_app(program(GATED, hosts=2))
    home = Home(app.home.root)
    with etcd_kept_from(next(node for node in nodes if node is not taken), home):
        push = app.start_push("strict")
        wait_for(push.stderr, f"{app.name}-slave")
        etcd_server.stop(home.etcd)
        told = push.communicate(timeout=120)[1]
    late = rf"failed, exit 1 \(1 of 2 slaves of {app.name} did not register in time: etcd at \S+ cannot"
    assert re.search(late, told), told
    app.home.up()
    running.open()
    running.end()
    assert running.app.wait() == 6
    assert said(running.app, 1, LINES) == LINES


def test_a_run_whose_end_was_told_is_removed_also_by_the_next_receiver(
    app: App, nodes: tuple[Node, ...]
) -> None:
    run = Run.pushed(app, nodes)
    node, _ = run.slave(3)
    node.hold_runtime()
    run.open()
    assert "failed, exit 6" in run.end()
    node.wait_until_asked()
    app.home.kill_daemon()
    node.let_runtime_go()
    app.home.up()
    assert said(app, 1, LINES) == LINES
    wait_until_clean(app.home, nodes)


@contextmanager
def etcd_kept_from(node: Node, home: Home) -> Iterator[None]:
    """What it has to announce cannot be announced."""
    door = node_proxy.known(home.root)
    assert door
    closed = ("OUTPUT", "-p", "tcp", "--dport", door.url.rpartition(":")[2], "-j", "REJECT")
    node.console("iptables", "-I", *closed)
    try:
        yield
    finally:
        node.console("iptables", "-D", *closed)


def wait_until_begun(app: App, run: int = 1) -> None:
    logs = app.home.start_nap("logs", app.name, str(run), "-f", stdout=PIPE, stderr=DEVNULL)
    wait_for(logs.stdout, "begun")
    logs.kill()
    logs.communicate()
