"""`nap nodes` on machines that boot systemd: added, listed, drained and removed over ssh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.nodes import home as nodes_home
from support.nodes.lab import Lab
from support.nodes.node import Node

from receiver.home.paths import Home
from receiver.nodes.book import NodeBook
from registry import Endpoint, StoreSettings, certificates
from registry.node_proxy import proxy as node_proxy

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

Nap = Callable[..., "subprocess.CompletedProcess[str]"]
Nodes = tuple[Node, ...]
# What other homes of the session have put there stays.
KEYS = "/home/ops/.ssh/authorized_keys /root/.ssh/authorized_keys"


@pytest.fixture
def agent(nodes_lab: Lab, tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh agent that has the lab's key, as an admin's does."""
    with nodes_home.agent(nodes_lab.key, tmp_path / "agent") as socket:
        yield socket


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def nap(home: Home, agent: str, nodes: Nodes) -> Iterator[Nap]:
    """Runs the command in a home of the test's own, which is never up; no node keeps what it put there."""
    environment = {**os.environ, "NAP_HOME": str(home.root), "HOME": str(home.root.parent)}

    def call(*words: str, agent: str = agent) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "receiver", *words], env={**environment, "SSH_AUTH_SOCK": agent},
            capture_output=True, text=True, timeout=90, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    for node in nodes:
        node.console("sh", "-c", f"for keys in {KEYS}; do [ ! -e $keys ] || mv $keys $keys.others; done")
    yield call
    for node in nodes:
        node.put_right()
        back = "rm -f $keys; [ ! -e $keys.others ] || mv $keys.others $keys"
        node.console("sh", "-c", f"for keys in {KEYS}; do {back}; done")


def login(node: Node, user: str = "ops") -> str:
    return f"{user}@{node.address}"


def listed(nap: Nap, *away: str) -> dict[str, str]:
    """States by name; a node of a busy machine that should answer is asked again."""
    for _ in range(5):
        states = {node["name"]: node["state"] for node in json.loads(nap("nodes", "--json").stdout)}
        if all(state != "away" or name in away for name, state in states.items()):
            break
    return states


def test_a_machine_that_lets_the_admin_in_is_looked_at_and_added(nap: Nap, nodes: Nodes, home: Home) -> None:
    done = nap("nodes", "add", login(nodes[0]))
    assert done.returncode == 0, done.stderr
    assert "nap's was put into ~/.ssh/authorized_keys of ops" in done.stdout
    fingerprint = nodes[0].console("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert f"host key   ssh-ed25519 {fingerprint}" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("node1 is added: ")
    node = NodeBook(home.nodes).get("node1")
    assert node.login.host_key == nodes[0].host_key
    assert (node.address, node.interface, node.kind) == (nodes[0].address, "eth0", nodes[0].kind)


def test_naps_own_key_gets_in_after_the_admin_has_left(nap: Nap, nodes: Nodes) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    keys = nodes[0].console("cat", "/home/ops/.ssh/authorized_keys").splitlines()
    assert len(keys) == 1
    done = nap("nodes", "--json", agent="")
    assert [node["state"] for node in json.loads(done.stdout)] == ["open"]


def test_a_key_is_let_in_beside_those_that_are_there(nap: Nap, nodes: Nodes) -> None:
    nodes[0].console(
        "sh", "-c", "mkdir -p /root/.ssh; printf 'ssh-ed25519 AAAA whose' >/root/.ssh/authorized_keys"
    )
    assert nap("nodes", "add", login(nodes[0], "root")).returncode == 0
    theirs, naps = nodes[0].console("cat", "/root/.ssh/authorized_keys").splitlines()
    assert theirs == "ssh-ed25519 AAAA whose"
    assert nap("nodes", "remove", "node1").returncode == 0
    assert nodes[0].console("cat", "/root/.ssh/authorized_keys").splitlines() == [theirs] != [naps]


def test_a_machine_that_lets_nobody_in_is_refused_with_the_command_that_helps(
    nap: Nap, nodes: Nodes, home: Home
) -> None:
    done = nap("nodes", "add", login(nodes[0]), agent="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"nap: {login(nodes[0])} lets neither nap nor you in",
        f"  hint: let nap's key in: ssh-copy-id -i {home.nodes}/id_ed25519.pub {login(nodes[0])}",
    ]
    assert NodeBook(home.nodes).all() == ()


def test_a_machine_is_one_node_whatever_it_is_called(nap: Nap, nodes: Nodes) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    again = nap("nodes", "add", login(nodes[0]), "--name", "other")
    assert (again.returncode, again.stderr.splitlines()[0]) == (1, "nap: other is the same machine as node1")
    taken = nap("nodes", "add", login(nodes[1]), "--name", "node1")
    assert (taken.returncode, taken.stderr.splitlines()[0]) == (1, "nap: there is a node node1 already")
    assert listed(nap) == {"node1": "open"}


def test_a_machine_without_a_runtime_that_works_leaves_no_trace(nap: Nap, nodes: Nodes, home: Home) -> None:
    nodes[0].break_runtime()
    done = nap("nodes", "add", login(nodes[0]))
    assert done.returncode == 1
    assert "MISSING  runtime" in done.stdout
    assert done.stderr.startswith(f"nap: {nodes[0].address} was not added: runtime: ")
    assert NodeBook(home.nodes).all() == ()
    assert "nap's was taken out again" in done.stdout
    assert nodes[0].console("cat", "/home/ops/.ssh/authorized_keys") == ""


def test_nodes_are_asked_again_whether_they_still_can_be_nodes(nap: Nap, nodes: Nodes) -> None:
    for node in nodes[:2]:
        assert nap("nodes", "add", login(node)).returncode == 0
    assert nap("nodes", "check").returncode == 0
    nodes[0].break_runtime()
    nodes[1].freeze()
    done = nap("nodes", "check", "--json")
    assert done.returncode == 1
    without, away = json.loads(done.stdout)
    assert {it["name"] for it in without["findings"] if it["ok"] is False} == {"runtime"}
    assert (away["name"], away["findings"]) == ("node2", [])
    assert "does not answer" in away["away"]


def test_a_node_has_to_reach_the_receivers_etcd(nap: Nap, nodes: Nodes, nodes_lab: Lab, home: Home) -> None:
    home.root.mkdir()
    home.engine.write_text("systemd\n")
    home.log.mkdir()
    certificates.ensure(home.etcd / "tls", [nodes_lab.host])
    StoreSettings(Endpoint("http://127.0.0.1:1")).save(home.etcd_settings)
    try:
        node_proxy.start(home.root, [nodes_lab.host], print)
        added = nap("nodes", "add", login(nodes[0]))
    finally:
        node_proxy.stop(home.root)
    assert added.returncode == 0, added.stderr
    assert f"ok       etcd       https://{nodes_lab.host}:" in added.stdout
    refused = nap("nodes", "add", login(nodes[1]))
    assert refused.returncode == 1
    assert "was not added: etcd: " in refused.stderr
    assert listed(nap) == {"node1": "open"}


def test_a_node_may_have_docker(nap: Nap, nodes_lab: Lab, own_lab: Lab, home: Home) -> None:
    (node,) = own_lab.boot(1, "docker")
    keys = node.disk / "etc/ssh/authorized_keys"
    keys.write_text(keys.read_text() + nodes_lab.key.with_suffix(".pub").read_text())
    done = nap("nodes", "add", login(node))
    assert done.returncode == 0, done.stdout + done.stderr
    added = NodeBook(home.nodes).get("node1")
    assert (added.kind, added.runtime) == ("docker", "/usr/bin/docker")
    node.break_runtime()
    assert "MISSING  runtime" in nap("nodes", "check").stdout
    node.mend_runtime()
    assert nap("nodes", "remove", "node1").returncode == 0


def test_a_frozen_node_is_away_and_holds_nobody_up(nap: Nap, nodes: Nodes) -> None:
    for node in nodes:
        assert nap("nodes", "add", login(node)).returncode == 0
    nodes[1].freeze()
    assert listed(nap, "node2") == {"node1": "open", "node2": "away", "node3": "open"}
    nodes[1].thaw()
    assert listed(nap)["node2"] == "open"


def test_a_drained_node_stays_drained_until_it_is_resumed(nap: Nap, nodes: Nodes) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    assert nap("nodes", "drain", "node1").returncode == 0
    assert listed(nap) == {"node1": "drained"}
    assert nap("nodes", "resume", "node1").returncode == 0
    assert listed(nap) == {"node1": "open"}


def use(node: Node, home: Home) -> None:
    """Have it run what looks like slaves of the home."""
    folder = f"/run/nap/{home.id}/hello/1"
    unit = f"[Service]\nExecStart=/bin/sleep 600\nWorkingDirectory={folder}\n"
    lines = f"mkdir -p {folder}; printf '{unit}' >/run/systemd/system/slaves_hello@.service"
    node.console("sh", "-c", lines)
    node.console("systemctl", "start", "slaves_hello@1", "slaves_hello@2")


def is_clear(node: Node) -> bool:
    files = node.console("sh", "-c", "ls /run/systemd/system | grep slaves; ls -d /run/nap; true")
    units = node.console("systemctl", "list-units", "--all", "--no-legend")
    return files == "" and "slaves_hello" not in units


def test_a_node_in_use_is_not_removed_unless_by_force(nap: Nap, nodes: Nodes, home: Home) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    use(nodes[0], home)
    refused = nap("nodes", "remove", "node1")
    assert refused.returncode == 1
    assert "node1 is in use: slaves_hello@1.service, slaves_hello@2.service" in refused.stderr
    assert listed(nap) == {"node1": "open"}
    assert nap("nodes", "remove", "node1", "--force").returncode == 0
    assert NodeBook(home.nodes).all() == ()
    assert is_clear(nodes[0])


def test_what_a_node_kept_that_was_away_goes_when_its_machine_is_added_again(
    nap: Nap, nodes: Nodes, home: Home
) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    use(nodes[0], home)
    nodes[0].freeze()
    done = nap("nodes", "remove", "node1", "--force")
    assert (done.returncode, "goes when the same machine is added again" in done.stdout) == (0, True)
    nodes[0].thaw()
    assert not is_clear(nodes[0])
    assert nap("nodes", "add", login(nodes[0]), "--name", "again").returncode == 0
    assert is_clear(nodes[0])
    assert listed(nap) == {"again": "open"}
    assert NodeBook(home.nodes).left_on(nodes[0].console("cat", "/etc/machine-id").strip()) is None


def test_removing_a_node_leaves_what_another_home_has_there(nap: Nap, nodes: Nodes) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    path = "/run/systemd/system/h0_slaves_hello@.service"
    unit = "[Service]\nExecStart=/bin/sleep 600\nWorkingDirectory=/run/nap/h0\n"
    nodes[0].console("sh", "-c", f"mkdir -p /run/nap/h0; printf '{unit}' >{path}")
    assert nap("nodes", "remove", "node1").returncode == 0
    assert nodes[0].console("ls", "-d", path, "/run/nap/h0").split() == ["/run/nap/h0", path]
    nodes[0].console("rm", "-r", path, "/run/nap")


def test_a_node_that_is_gone_is_forgotten_by_force_alone(nap: Nap, nodes: Nodes, home: Home) -> None:
    assert nap("nodes", "add", login(nodes[0])).returncode == 0
    nodes[0].power_off()
    refused = nap("nodes", "remove", "node1")
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    done = nap("nodes", "remove", "node1", "--force")
    assert done.returncode == 0
    assert "may have left something there" in done.stdout
    assert NodeBook(home.nodes).all() == ()
