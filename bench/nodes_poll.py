"""A push to nodes against scripts that poll: `python bench/nodes_poll.py [FOLDER]`.

The scripts start slaves as nodes_push.py does by hand. Then each node announces its own in etcd, and the
master's looks there until all are, with a sleep of 30 s between two looks, and reads one key after the other.
FOLDER: see nodes_push.py.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

from container_push import line
from nodes_push import COUNTS, ByHand, home_on_nodes, image_on, until_first_line

from registry.etcd import program as etcd_program

ROUNDS = 2
PORT = 23790
# POLL URL COUNT: the slaves' hosts.
POLL = """\
keys() { curl --silent "$1/v2/keys/hand" | grep -o '"/hand/[^"]*"' | tr -d '"'; }
until [ "$(keys "$1" | wc -l)" = "$2" ]; do sleep 30; done
for key in $(keys "$1"); do curl --silent "$1/v2/keys$key"; done
"""


class Polled(ByHand):
    """The same, but for the time between slaves and mpirun."""

    etcd = ""

    def gather(self) -> None:
        announcing = [
            subprocess.Popen([*node.ssh(), self._curl("-X PUT", name, f"-d value={name}")], stdout=DEVNULL)
            for name, node in zip(self.names, self.places, strict=True)
        ]
        poll = ("sh", "-c", POLL, "poll", self.etcd, str(len(self.names)))
        subprocess.run(poll, check=True, stdout=DEVNULL)
        for announcer in announcing:
            announcer.wait()
        forget = self._curl("-X DELETE", "?recursive=true", "")
        subprocess.run(["sh", "-c", forget], check=True, stdout=DEVNULL)

    def _curl(self, verb: str, key: str, said: str) -> str:
        return f"curl --silent {verb} '{self.etcd}/v2/keys/hand/{key}' {said}"


def main() -> None:
    with tempfile.TemporaryDirectory() as name, home_on_nodes(Path(name)) as (home, nodes):
        hello = home.example("hello", Path(name) / "tree")
        host = f"{nodes[0].address.rpartition('.')[0]}.1"
        with etcd(Path(name) / "etcd", host) as Polled.etcd:
            for count in COUNTS:
                print(f"\n{count} slaves", flush=True)
                if (ran := hello.push(f"hosts={count}", "strict")).code:
                    raise SystemExit(ran.out)
                script = Polled(Path(name), nodes, count, image_on(nodes[0]))
                rounds = [(script.run(script.plain), until_first_line(hello, count)) for _ in range(ROUNDS)]
                polled, pushes = (list(seconds) for seconds in zip(*rounds, strict=True))
                line("scripts that poll", polled)
                line("push", pushes)
                print(f"{'push / polling':<28}{min(pushes) / min(polled):8.2f}")


@contextmanager
def etcd(folder: Path, host: str) -> Iterator[str]:
    """One without a password, as the scripts had it."""
    url = f"http://{host}:{PORT}"
    words = (
        etcd_program.newest().path, "--data-dir", str(folder), "--enable-v2", "--listen-client-urls", url,
        "--advertise-client-urls", url, "--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error",
    )  # fmt: skip
    with subprocess.Popen(words) as server:
        try:
            ask = ("curl", "--silent", "--retry", "20", "--retry-connrefused", f"{url}/version")
            subprocess.run(ask, check=True, stdout=DEVNULL)
            yield url
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
