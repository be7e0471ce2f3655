"""From a push to the first rank's line on three nodes: `python bench/nodes_push.py [FOLDER]`.

The nodes are machines that boot systemd, containers of this one (tests/support/nodes/lab.py). Images are
on them already, and nothing is built. By hand is a person's script: `podman run` with sshd on each node over
ssh, all at once, then mpirun on the first; keys are there before. Once with MPI's defaults, once with
the flags nap sets. FOLDER keeps the stacks for the next time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from container_push import SSH, SSHD, line, ratio
from support.containers import home as containers_home
from support.nap_home import App, NapHome
from support.nodes import home as nodes_home
from support.nodes.lab import Lab
from support.nodes.node import Node, call

from units import launching
from units.job import Mpi, Slave
from units.oci import runtime as runtimes

ROUNDS = 5
COUNTS = (2, 6)
FIRST = "hello from rank"
KEYS = "/var/hand"
PORT = 23000


def main() -> None:
    with tempfile.TemporaryDirectory() as name, home_on_nodes(Path(name)) as (home, nodes):
        hello = home.example("hello", Path(name) / "tree")
        for count in COUNTS:
            print(f"\n{count} slaves", flush=True)
            ran = hello.push(f"hosts={count}", "strict")
            if ran.code:
                raise SystemExit(ran.out)
            report(hello, ByHand(Path(name), nodes, count, image_on(nodes[0])))


@contextmanager
def home_on_nodes(folder: Path) -> Iterator[tuple[NapHome, tuple[Node, ...]]]:
    kept = Path(sys.argv[1]).absolute() if sys.argv[1:] else folder / "stacks"
    podman, lab = runtimes.find("podman"), Lab()
    try:
        nodes = lab.boot(3)
        with containers_home.shared_stacks(kept / "images", kept, keep=True) as stacks:
            home = nodes_home.new_home(folder / "home", stacks, podman)
            home.always("nodes: {policy: spread}\n")
            nodes_home.add_nodes(home, lab, nodes, "--slots", "2")
            home.up()
            try:
                yield home, nodes
            finally:
                nodes_home.down(home, stacks)
                containers_home.forget(home, podman)
    finally:
        lab.close()


def image_on(node: Node) -> str:
    """The app's image as the node calls it."""
    form = "{{.Repository}}@{{.Digest}}"
    found = node.console("podman", "images", "--format", form).split()
    return next(one for one in found if "hello_image" in one)


class ByHand:
    """The same program over as many slaves, two at most on a node."""

    def __init__(self, folder: Path, nodes: tuple[Node, ...], count: int, image: str) -> None:
        self.nodes = nodes
        self.image = image
        self.names = [f"hand{number}" for number in range(1, count + 1)]
        self.places = [nodes[number % len(nodes)] for number in range(count)]
        self._furnish(folder / f"keys{count}")
        slaves = [Slave(number, name, "", 1) for number, name in enumerate(self.names, 1)]
        machine = launching.Machine(2 * len(nodes), False, ("eth0",), "eth0")
        agent = f"ssh -F {KEYS}/ssh_config"
        flags = launching.environment(
            Mpi("openmpi5", count), tuple(slaves), machine, launching.Ways(agent, f"{KEYS}/hosts", "eth0")
        )  # fmt: skip
        self.plain = {"PRTE_MCA_plm_ssh_agent": agent}
        self.tuned = dict(flags)

    def _furnish(self, keys: Path) -> None:
        """Keys and settings, on every node, before anything is timed."""
        keys.mkdir()
        for key in ("id", "host_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key))
        public = (keys / "host_key.pub").read_text()
        ways, known = "", ""
        for number, (name, node) in enumerate(zip(self.names, self.places, strict=True)):
            port = PORT + number
            (keys / f"sshd_{name}").write_text(SSHD.replace("/keys", KEYS).replace("2222", str(port)))
            ways += f"Host {name}\n  HostName {node.address}\n  Port {port}\n"
            known += f"[{node.address}]:{port} {public}"
        (keys / "ssh_config").write_text(ways + SSH.replace("/keys", KEYS).replace("  Port 2222\n", ""))
        (keys / "known_hosts").write_text(known)
        (keys / "hosts").write_text("".join(f"{name} slots=1\n" for name in self.names))
        for node in self.nodes:
            inside = node.disk / KEYS.lstrip("/")
            call("rm", "-rf", str(inside))
            call("cp", "-r", str(keys), str(inside))
            call("chown", "-R", "1000:1000", str(inside))

    def run(self, env: dict[str, str]) -> float:
        """Seconds until the first rank's line; all of it is removed again."""
        started = time.perf_counter()
        starts = [
            self._podman(node, "-d", name, "/usr/sbin/sshd", "-D", "-f", f"{KEYS}/sshd_{name}")
            for name, node in zip(self.names, self.places, strict=True)
        ]
        if any(start.wait() for start in starts):
            raise SystemExit("by hand: a slave did not start")
        self.gather()
        words = [word for name, value in env.items() for word in ("-e", f"'{name}={value}'")]
        master = self._podman(
            self.nodes[0], "--rm", "hand", "mpirun", "--hostfile", f"{KEYS}/hosts",
            "-np", str(len(self.names)), "/app/hello", options=words,
        )  # fmt: skip
        assert master.stdout
        seconds = 0.0
        for said in master.stdout:
            if FIRST in said and not seconds:
                seconds = time.perf_counter() - started
        if master.wait() or not seconds:
            raise SystemExit("by hand: mpirun failed")
        for node in self.nodes:
            node.run(["sudo", "podman", "rm", "-f", "-t", "0", "-i", *self.names])
        return seconds

    def gather(self) -> None:
        """Nothing: whoever wrote the script knows where the slaves are."""

    def _podman(
        self, node: Node, how: str, name: str, *command: str, options: list[str] | None = None
    ) -> subprocess.Popen[str]:
        words = (
            "sudo", "podman", "run", how, "--name", name, "--hostname", name, "--network", "host",
            "--user", "app", "-v", f"{KEYS}:{KEYS}:ro", *(options or ()), self.image, *command,
        )  # fmt: skip
        return subprocess.Popen([*node.ssh(), " ".join(words)], stdout=subprocess.PIPE, text=True)


def until_first_line(hello: App, count: int) -> float:
    """Seconds of a push of the same commit, until a rank's line is on the terminal of who pushed."""
    started = time.perf_counter()
    push = hello.start_push(f"hosts={count}")
    assert push.stderr
    seconds = 0.0
    said = []
    for text in push.stderr:
        said.append(text)
        if FIRST in text and not seconds:
            seconds = time.perf_counter() - started
    if push.wait() or not seconds:
        raise SystemExit("".join(said))
    return seconds


def report(hello: App, hand: ByHand) -> None:
    """In turn, so that a noisy machine is noisy for all."""
    plain: list[float] = []
    tuned: list[float] = []
    pushes: list[float] = []
    for _ in range(ROUNDS):
        plain.append(hand.run(hand.plain))
        pushes.append(until_first_line(hello, len(hand.names)))
        tuned.append(hand.run(hand.tuned))
    line("by hand, MPI's defaults", plain)
    line("by hand, nap's flags", tuned)
    line("push", pushes)
    ratio("push / by hand", pushes, plain, 1.0)
    ratio("push / by hand, nap's flags", pushes, tuned, 1.0)
    print(f"  {statistics.median(pushes):.2f} s until the first rank's line")


if __name__ == "__main__":
    main()
