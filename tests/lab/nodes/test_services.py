"""Services and profiles as units of nodes: pushed, asked, replaced, crashed and booted for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support.containers.home as containers
from support.containers.home import SharedStacks
from support.etcd import until
from support.nap_home import App, NapHome, wait_for, wait_until_up
from support.nodes.home import add_nodes, down, left, new_home
from support.nodes.lab import Lab
from support.nodes.node import Node
from support.services import DOCKERFILE, SERVER, ask, asked_all_the_time, service, wait_for_lines, where

from receiver.home.paths import Home
from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
COUNTS = "counter: i=0; while sleep 0.01; do echo line $((i += 1)); done\n"
HI = "#!/bin/sh\necho hi\n"


def used(home: NapHome) -> int:
    """Slots of the nodes."""
    return sum(node["slots"]["used"] for node in home.json("nodes"))


def announced(home: NapHome, app: App, processes: int) -> list[str]:
    """What etcd has of an app's web processes, once there are so many."""
    settings = StoreSettings.load(Home(home.root).etcd_settings)
    store, folder = open_store(settings.endpoint), settings.keys.services("web", app.name)
    return list(until(store, folder, lambda listing: len(listing.entries) == processes).entries.values())


def test_a_service_is_replaced_without_a_gap_beside_an_mpi_run(
    new_nodes_app: NewApp, nodes_home: NapHome
) -> None:
    app = new_nodes_app(service("first", COUNTS))
    place = where(app.push().out)
    assert ask(*place) == "first"
    assert used(nodes_home) == 2
    rest = sum(node["slots"]["free"] for node in nodes_home.json("nodes"))
    beside = new_nodes_app({"mpi.xml": f"build: chmod +x hi\nto: hi\nhosts: {rest}\nslots: 1\n", "hi": HI})
    app.commit(service("second", COUNTS))
    with asked_all_the_time(*place) as seen:
        ran = beside.push("strict")
        pushed = app.push()
    assert (ran.code, beside.lines()) == (0, ["hi"] * rest), ran.out
    assert where(pushed.out) == place
    assert seen.failures == []
    assert set(seen.answers) == {"first", "second"}
    app.wait("1")
    assert [(run["state"], run["exit_code"]) for run in app.runs()] == [("replaced", 0), ("running", None)]
    assert used(nodes_home) == 2
    waits = beside.start_push(f"hosts={rest + 1}")
    wait_for(waits.stderr, f"waiting for room: needs {rest + 1} slaves of 1 slot; free: ")
    nodes_home.nap("cancel", beside.name)
    waits.communicate(timeout=30)


@pytest.fixture
def impatient(nodes_home: NapHome) -> Iterator[NapHome]:
    """The home with little patience for services that do not answer."""
    nodes_home.settings("answer_timeout: 6\n")
    nodes_home.up()
    yield nodes_home
    nodes_home.settings("")
    nodes_home.up()


def test_a_service_that_crashes_is_started_again_and_what_does_not_answer_is_refused(
    impatient: NapHome, new_nodes_app: NewApp, nodes: tuple[Node, ...]
) -> None:
    app = new_nodes_app(service("first"))
    place = where(app.push().out)
    (unit,) = app.home.json("ps")[0]["units"]
    node = next(node for node in nodes if node.name == unit["address"])
    node.console("pkill", "-KILL", "-f", "python3 server.py")
    wait_for_lines(app, f"nap: {app.name}-web ended with 137; starting it again in 1 s")
    app.commit({"profile": "web: sleep 1000\n"})
    refused = app.push("strict")
    assert f"{app.name} did not answer on port {place[0]} within 6 s" in refused.out
    assert ask(*place) == "first"
    assert [(run["state"], run["release"]) for run in app.runs()] == [("running", 1), ("failed", 2)]


def test_a_service_goes_on_without_the_receiver_and_no_line_is_lost(
    new_nodes_app: NewApp, nodes_home: NapHome
) -> None:
    app = new_nodes_app(service("first", COUNTS))
    place = where(app.push().out)
    nodes_home.kill_daemon()
    assert ask(*place) == "first"
    nodes_home.up()
    last = len(app.logs().splitlines()) + 200
    wait_for_lines(app, f"line {last}")
    assert nodes_home.nap("cancel", app.name).code == 0
    assert app.wait() == 130
    lines = [line for line in app.logs().splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert len(lines) >= last


def test_a_dockerfile_is_a_service_that_is_announced(
    new_nodes_app: NewApp, nodes_home: NapHome, image_stacks: SharedStacks, podman: Runtime
) -> None:
    base = image_stacks.of(podman, "plain").run_image
    app = new_nodes_app({"Dockerfile": DOCKERFILE.format(base=base), "server.py": SERVER})
    port, address = where(app.push().out)
    assert ask(port, address) == "WORD"
    wait_for_lines(app, "WORD starts")
    (member,) = announced(nodes_home, app, 1)
    assert (json.loads(member)["ip"], json.loads(member)["port"]) == (address, port)
    assert nodes_home.nap("cancel", app.name).code == 0
    assert app.wait() == 130
    assert announced(nodes_home, app, 0) == []


@pytest.fixture
def booted(
    tmp_path: Path, own_lab: Lab, image_stacks: SharedStacks, podman: Runtime
) -> Iterator[tuple[NapHome, Node]]:
    """A home with a node of the test's own."""
    home = new_home(tmp_path / "home", image_stacks, podman)
    (node,) = own_lab.boot()
    add_nodes(home, own_lab, [node])
    home.up()
    yield home, node
    down(home, image_stacks)
    containers.forget(home, podman)


def test_a_service_comes_back_with_its_node_and_with_nap(
    booted: tuple[NapHome, Node], image_stacks: SharedStacks, tmp_path: Path
) -> None:
    home, node = booted
    app = home.app("web", tmp_path / "tree", service("first", COUNTS))
    place = where(app.push().out)
    home.kill_daemon()
    node.reboot()
    answer = ""
    while not answer:
        try:
            answer = ask(*place)
        except OSError:
            node.console("sleep", "0.2")
    assert answer == "first"
    home.up()
    wait_for_lines(app, "first starts", "first starts")
    down(home, image_stacks)
    assert left([node], Home(home.root)) == []
    home.up()
    wait_until_up(app, 2)
    assert ask(*place) == "first"
    assert home.nap("nodes", "remove", node.name, "--force").code == 0
    assert app.wait("2") == 137
    app.wait_until_clean()
    assert left([node], Home(home.root)) == []
