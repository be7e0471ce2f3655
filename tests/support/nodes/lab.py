"""Real nodes for tests: a network of machines that boot systemd, each of them a container of this one."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.nodes import image as node_image_lab
from support.nodes.node import WITHIN, Node, call

_LABEL = "nap.lab"
_LABS = Path(tempfile.gettempdir()) / "nap-labs"
_FIRST = 11
_MOST = 9
_CGROUPS = Path("/sys/fs/cgroup")
# Where all nodes have the same directory, as an NFS mount would be.
SHARED = "/srv/share"


def machine_lacks_nodes() -> str:
    """What this machine is without to be a lab, or nothing."""
    if os.geteuid() != 0:
        return "nodes need root, who may boot them"
    packages = {"podman": "podman", "mmdebstrap": "mmdebstrap", "ssh": "openssh-client", "ip": "iproute2"}
    absent = [package for tool, package in packages.items() if shutil.which(tool) is None]
    return f"nodes need: apt-get install {' '.join(absent)}" if absent else ""


class Lab:
    """Nodes on a network of their own, named node1, node2, ...; `host` is this machine's address there."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(3)
        self.nodes: list[Node] = []
        self.folder = _LABS / self.id
        _LABS.mkdir(exist_ok=True)
        with _locked(_LABS / "lock"):
            _sweep()
            self.folder.mkdir()
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.share = self.folder / "share"
        self.share.mkdir()
        self.share.chmod(0o1777)
        self.key = self.folder / "id_ed25519"
        _new_key(self.key, "lab")
        label = f"{_LABEL}={self.id}"
        call("podman", "network", "create", "--disable-dns", "--label", label, self.network)
        (about,) = json.loads(call("podman", "network", "inspect", self.network))
        self._subnet = ipaddress.ip_network(about["subnets"][0]["subnet"])
        self.host: str = about["subnets"][0]["gateway"]

    @property
    def network(self) -> str:
        return f"nap-lab-{self.id}"

    def boot(self, count: int = 1, kind: str = "podman") -> tuple[Node, ...]:
        """That many new nodes, at the same time; until all are up."""
        image = node_image_lab.image(kind)
        first = len(self.nodes) + 1
        new = [self._node(number, kind) for number in range(first, first + count)]
        self.nodes += new
        with _mounted(image) as origin, ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda node: self._boot(node, image, origin), new))
        return tuple(new)

    def close(self) -> None:
        """Nothing is left of it."""
        self.nodes.clear()
        _remove(self.id)
        self._lock.close()

    def _address(self, number: int) -> str:
        return str(self._subnet[_FIRST + number - 1])

    def _mac(self, node: Node) -> str:
        """The same in all its boots, since others remember it."""
        return "02:00:" + ":".join(f"{int(part):02x}" for part in node.address.split("."))

    def _node(self, number: int, kind: str) -> Node:
        name = f"node{number}"
        folder = self.folder / name
        folder.mkdir()
        return Node(name, self._address(number), kind, f"{self.network}-{name}", folder, self.key)

    def _boot(self, node: Node, image: str, origin: Path) -> None:
        self._furnish(node, origin)
        call("podman", "run", "--detach", *self._options(node), image, "/sbin/init", within=2 * WITHIN)
        node.wait_until_up(2 * WITHIN)

    def _furnish(self, node: Node, origin: Path) -> None:
        """Give it a disk with what the image has there, keys and a journal that is kept."""
        node.disk.mkdir()
        call("mount", "-t", "tmpfs", "-o", "size=2G,mode=755", f"{self.network}-{node.name}", str(node.disk))
        call("cp", "-a", str(origin / "etc"), str(origin / "var"), str(node.disk))
        ssh = node.disk / "etc/ssh"
        _new_key(ssh / "ssh_host_ed25519_key", node.name)
        shutil.copy(self.key.with_suffix(".pub"), ssh / "authorized_keys")
        node.known_hosts.write_text(f"{node.address} {node.host_key}\n")
        (node.disk / "var/log/journal").mkdir(exist_ok=True)

    def _options(self, node: Node) -> tuple[str, ...]:
        hosts = [f"--add-host=node{n}:{self._address(n)}" for n in range(1, _MOST + 1)]
        return (
            "--name", node.container, "--hostname", node.name, "--label", f"{_LABEL}={self.id}",
            "--network", self.network, "--ip", node.address, "--mac-address", self._mac(node), *hosts,
            "--privileged", "--pids-limit=-1", "--stop-signal=SIGRTMIN+3",
            # Podman's own way to run systemd has all nodes share one tree of control groups.
            "--systemd=false", "--cgroupns=private", "--env", "container=podman",
            "--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec,mode=1777",
            *_without_cgroups(),
            "--volume", f"{node.disk}/etc:/etc", "--volume", f"{node.disk}/var:/var",
            "--volume", f"{self.share}:{SHARED}",
            "--volume", f"{node.bell}:/bell", "--env", "NOTIFY_SOCKET=/bell",
            # The log of the machine's kernel is none of theirs.
            "--volume", "/dev/null:/dev/kmsg",
        )  # fmt: skip


def _without_cgroups() -> list[str]:
    """Hide controllers that the kernel has and nobody has mounted: Podman in a node would stumble over them.

    They are control groups of the first kind; systemd tracks what it runs by those of the second.
    """
    if not (_CGROUPS / "unified").is_dir():
        return []
    lines = Path("/proc/cgroups").read_text().splitlines()[1:]
    names = [line.split()[0] for line in lines]
    hidden = [str(_CGROUPS / name) for name in names if not (_CGROUPS / name).is_dir()]
    return [word for folder in hidden for word in ("--tmpfs", folder)]


def _sweep() -> None:
    """Remove the labs whose sessions were killed."""
    label = f'{{{{index .Labels "{_LABEL}"}}}}'
    listed = call("podman", "ps", "--all", "--filter", f"label={_LABEL}", "--format", label)
    for lab in {path.name for path in _LABS.iterdir() if path.is_dir()} | set(listed.split()):
        if _abandoned(lab):
            _remove(lab)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _abandoned(lab: str) -> bool:
    try:
        with (_LABS / lab / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def _remove(lab: str) -> None:
    mine = ("--filter", f"label={_LABEL}={lab}")
    if containers := call("podman", "ps", "--all", "--quiet", *mine).split():
        call("podman", "rm", "--force", "--time=0", *containers, within=2 * WITHIN)
    if networks := call("podman", "network", "ls", "--quiet", *mine).split():
        call("podman", "network", "rm", *networks)
    for disk in (_LABS / lab).glob("*/disk"):
        if disk.is_mount():
            call("umount", str(disk))
    shutil.rmtree(_LABS / lab, ignore_errors=True)


def left(lab: str) -> list[str]:
    """Containers, networks, disks and files of a lab that is closed."""
    mine = ("--filter", f"label={_LABEL}={lab}")
    containers = call("podman", "ps", "--all", "--format", "{{.Names}}", *mine).split()
    networks = call("podman", "network", "ls", "--format", "{{.Name}}", *mine).split()
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if lab in line]
    return [*containers, *networks, *mounts, *map(str, _LABS.glob(lab))]


@contextmanager
def _mounted(image: str) -> Iterator[Path]:
    origin = Path(call("podman", "image", "mount", image).strip())
    try:
        yield origin
    finally:
        call("podman", "image", "unmount", image)


def _new_key(path: Path, comment: str) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


@pytest.fixture(scope="session")
def nodes_lab() -> Iterator[Lab]:
    """The session's lab. What a test boots there stays until the session ends."""
    if why := machine_lacks_nodes():
        pytest.skip(why)
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """A lab of the test's own, without nodes."""
    if why := machine_lacks_nodes():
        pytest.skip(why)
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def three_nodes(nodes_lab: Lab) -> tuple[Node, ...]:
    return nodes_lab.boot(3)


@pytest.fixture
def nodes(three_nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    """The session's three nodes; what a test broke of them is put right after it."""
    yield three_nodes
    for node in three_nodes:
        node.put_right()
