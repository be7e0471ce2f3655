"""The lab's nodes are machines like an admin's, fail like those, and leave nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import support.nodes.lab as lab_parts
from support.nodes.lab import Lab
from support.nodes.node import Node

# The first of all sessions on a machine makes the nodes' images.
pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]
TESTS = Path(lab_parts.__file__).parents[2]
# A container of the node's own files needs no image.
GREETER = """[Service]
ExecStart=/usr/bin/podman run --rm --replace --name greeter --network host --memory 64m --rootfs /:O \
    systemd-socket-activate --inetd --accept --listen 4711 {command}
ExecStop=/usr/bin/podman rm --force --time 0 greeter
[Install]
WantedBy=multi-user.target
"""
Nodes = tuple[Node, ...]


@contextmanager
def greeter(node: Node, command: str) -> Iterator[None]:
    """An enabled service on the node, in a container, that whoever connects hears the output of."""
    unit = node.disk / "etc/systemd/system/greeter.service"
    unit.write_text(GREETER.format(command=command))
    node.console("systemctl", "daemon-reload")
    node.console("systemctl", "enable", "--now", "greeter")
    yield
    node.console("systemctl", "disable", "--now", "greeter")
    unit.unlink()
    node.console("systemctl", "daemon-reload")


def heard(node: Node, other: Node) -> str:
    """What the greeter of the other says to this one, once it listens."""
    retry = ("--retry", "20", "--retry-delay", "1", "--retry-all-errors", "--max-time", "20")
    return node.run(["curl", "-s", *retry, f"telnet://{other.name}:4711"]).stdout


def works(node: Node) -> bool:
    return node.run(["true"]).returncode == 0


def test_three_nodes_are_up_with_all_that_belongs_to_them(nodes: Nodes) -> None:
    asked = [node.run(["systemctl", "is-system-running"]).stdout for node in nodes]
    assert asked == ["running\n"] * 3
    assert [node.run(["sudo", "id", "-u"]).stdout for node in nodes] == ["0\n"] * 3
    assert [node.run(["hostname"], user="root").stdout for node in nodes] == ["node1\n", "node2\n", "node3\n"]
    assert len({node.host_key for node in nodes}) == 3


def test_nodes_have_the_machines_time(nodes: Nodes) -> None:
    before = int(time.time())
    clocks = [int(node.run(["date", "+%s"]).stdout) for node in nodes]
    assert before <= min(clocks)
    assert max(clocks) <= time.time()


def test_nodes_verify_units(nodes: Nodes) -> None:
    verify = "cat >/tmp/{0}.service; systemd-analyze verify /tmp/{0}.service"
    good = nodes[0].run(["sh", "-c", verify.format("good")], stdin="[Service]\nExecStart=/bin/true\n")
    bad = nodes[0].run(["sh", "-c", verify.format("bad")], stdin="[Service]\nExecStart=/bin/absent\n")
    assert (good.returncode, good.stderr) == (0, "")
    assert bad.returncode != 0
    assert "/bin/absent is not executable" in bad.stderr


def test_a_container_on_one_node_is_reached_from_another(nodes: Nodes) -> None:
    with greeter(nodes[0], "hostname"):
        assert heard(nodes[1], nodes[0]) == "node1\n"
        assert heard(nodes[0], nodes[0]) == "node1\n"


def test_a_containers_memory_is_limited(nodes: Nodes) -> None:
    with greeter(nodes[0], 'sh -c "head -c 200m /dev/zero | tail | wc -c"'):
        assert heard(nodes[1], nodes[0]) == "0\n"
    with greeter(nodes[0], 'sh -c "head -c 2m /dev/zero | tail | wc -c"'):
        assert heard(nodes[1], nodes[0]) == f"{2 << 20}\n"


def test_nodes_reach_the_machine(nodes: Nodes, nodes_lab: Lab) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.client_address[0].encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with HTTPServer((nodes_lab.host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{nodes_lab.host}:{server.server_port}/"
        assert [node.run(["curl", "-s", url]).stdout for node in nodes] == [node.address for node in nodes]
        server.shutdown()


def test_what_ran_comes_back_after_the_power_did(nodes: Nodes) -> None:
    node = nodes[0]
    with greeter(node, "cat /proc/sys/kernel/hostname"):
        node.power_off()
        assert not works(node)
        node.power_on()
        assert heard(nodes[1], node) == "node1\n"


def test_a_reboot_ends_services_in_order_and_starts_them_again(nodes: Nodes) -> None:
    with greeter(nodes[0], "hostname"):
        before = nodes[0].console("cat", "/proc/sys/kernel/random/uuid", "/etc/machine-id").split()[1]
        nodes[0].reboot()
        assert heard(nodes[1], nodes[0]) == "node1\n"
        assert nodes[0].console("cat", "/etc/machine-id").strip() == before
        assert "Stopped greeter.service" in nodes[0].journal("greeter")


def test_a_frozen_node_takes_connections_and_says_nothing(nodes: Nodes) -> None:
    nodes[0].freeze()
    with socket.create_connection((nodes[0].address, nodes[0].port), 5) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        nodes[0].thaw()
        connection.settimeout(10)
        assert connection.recv(4) == b"SSH-"


def test_a_node_that_is_cut_off_runs_on(nodes: Nodes) -> None:
    node = nodes[0]
    with subprocess.Popen([*node.ssh(), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        node.cut_off()
        with pytest.raises(OSError, match=r"timed out|No route"):
            socket.create_connection((node.address, node.port), 2)
        assert node.console("hostname") == "node1\n"
        node.join()
        session.stdin.write(b"after\n")
        session.stdin.close()
        assert session.stdout.readline() == b"after\n"


@pytest.mark.parametrize("folder", ["/etc/systemd/system", "/var/lib/containers", "/var/tmp"])
def test_a_full_disk_takes_nothing(nodes: Nodes, folder: str) -> None:
    write = [
        "sudo",
        "sh",
        "-c",
        f"head -c 64k /dev/zero >{folder}/some; code=$?; rm {folder}/some; exit $code",
    ]
    nodes[0].fill_disk()
    ran = nodes[0].run(write)
    assert ran.returncode != 0
    assert "No space left on device" in ran.stderr
    assert (
        nodes[0].run(["sudo", "sh", "-c", "head -c 64k /dev/zero >/run/some && rm /run/some"]).returncode == 0
    )
    nodes[0].free_disk()
    assert nodes[0].run(write).returncode == 0


def test_podman_fails_while_its_runtime_is_broken(nodes: Nodes) -> None:
    start = ["sudo", "podman", "run", "--rm", "--rootfs", "/:O", "hostname"]
    nodes[0].break_runtime()
    assert nodes[0].run(start).returncode != 0
    nodes[0].mend_runtime()
    assert nodes[0].run(start).returncode == 0


def test_connections_end_when_sshd_is_restarted(nodes: Nodes) -> None:
    with subprocess.Popen([*nodes[0].ssh(), "echo up; cat"], stdin=subprocess.PIPE, stdout=-1) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        nodes[0].restart_sshd()
        assert session.wait(10) == 255
    assert works(nodes[0])


def test_what_a_test_broke_is_put_right(own_lab: Lab) -> None:
    (node,) = own_lab.boot()
    node.break_runtime()
    node.fill_disk()
    node.cut_off()
    node.freeze()
    node.put_right()
    assert node.run(["sudo", "podman", "run", "--rm", "--rootfs", "/:O", "echo", "well"]).stdout == "well\n"


def test_a_node_can_have_docker(own_lab: Lab) -> None:
    (node,) = own_lab.boot(1, "docker")
    ask = ["sudo", "docker", "info", "--format", "{{.Driver}}"]
    assert node.run(ask).stdout == "overlay2\n"
    node.break_runtime()
    assert node.run(ask).returncode != 0
    node.mend_runtime()
    assert node.run(ask).stdout == "overlay2\n"


def test_nothing_is_left_of_a_lab_whatever_state_its_nodes_are_in(own_lab: Lab) -> None:
    frozen, full, off = own_lab.boot(3)
    frozen.run(["sudo", "podman", "run", "--detach", "--rootfs", "/:O", "sleep", "1000"])
    frozen.freeze()
    full.fill_disk()
    off.power_off()
    own_lab.close()
    assert lab_parts.left(own_lab.id) == []


def test_the_next_lab_removes_that_of_a_killed_session(own_lab: Lab) -> None:
    script = (
        "import os; from support.nodes.lab import Lab; lab = Lab(); lab.boot(); print(lab.id);"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-uc", script], cwd=TESTS, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    lab = killed.stdout.strip()
    assert lab_parts.left(lab)
    Lab().close()
    assert lab_parts.left(lab) == []
    assert lab_parts.left(own_lab.id)
