"""What a push to containers costs against the same by hand: `python bench/container_push.py [FOLDER]`.

By hand is a person's Dockerfile of two stages on the same images, and the runtime's commands one after
another: build, push, four slaves, mpirun in a fifth container, away with all. Keys and network were made
before. Once with MPI's defaults, once with the flags nap sets. A push is over when its end is told; what
its run had is removed after that, and is gone before the next one is timed. FOLDER: see container_homes.py.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import container_homes
from container_homes import ROOT
from support.nap_home import App, NapHome

from receiver.home.paths import Home
from registry.images import server as image_server
from units import launching
from units.job import Mpi, Slave

ROUNDS = 5
HOSTS = ("hand1", "hand2", "hand3", "hand4")
SLAVES = tuple(Slave(number, name, "", 1) for number, name in enumerate(HOSTS, 1))
KEYS = "/keys"

DOCKERFILE = """\
FROM {build} AS build
COPY hello.c .
RUN mpicc -O2 hello.c -o /hello
FROM {run}
COPY --from=build /hello /app/hello
WORKDIR /app
"""
SSHD = f"""\
Port 2222
HostKey {KEYS}/host_key
AuthorizedKeysFile {KEYS}/id.pub
PidFile none
UsePAM no
"""
SSH = f"""\
Host *
  Port 2222
  IdentityFile {KEYS}/id
  UserKnownHostsFile {KEYS}/known_hosts
"""
SCRIPT = """\
{client} build {quiet} -t {image} .
{client} push {quiet} {flags} {image}
for host in {hosts}; do
    {client} run -d {options} --hostname $host --name $host {image} /usr/sbin/sshd -D -f /keys/sshd_config
done
{client} run --rm {options} {env} {image} mpirun --hostfile /keys/hosts -np 4 ./hello
{client} rm -f {now} {hosts}
"""


def main() -> None:
    container_homes.report_each(report)


def report(home: NapHome) -> None:
    with tempfile.TemporaryDirectory() as name, hello_in(home, Path(name)) as hello:
        hello.push()
        with by_hand(home, Path(name), hello.tree / "hello.c") as hand:
            report_times(hello, hand)
        report_bytes(home, hello)
        for phase, seconds in hello.runs()[-1]["seconds"].items():
            print(f"  phase {phase:<8}{seconds:8.3f} s")


@contextmanager
def hello_in(home: NapHome, folder: Path) -> Iterator[App]:
    home.nap("destroy", "hello", "--yes")
    try:
        yield home.example("hello", folder / "hello")
    finally:
        home.nap("destroy", "hello", "--yes")


class ByHand:
    """The same program, built and started by hand with the same images and the same runtime."""

    def __init__(self, home: NapHome, folder: Path, source: Path) -> None:
        self.folder = folder
        self.source = source
        self.runtime = container_homes.runtime_of(home)
        registry = image_server.known(Home(home.root).image_registry)
        assert registry
        self.image = registry.tagged("hand_image", "latest")
        stack = container_homes.stack_of(home, "openmpi")
        (folder / "Dockerfile").write_text(DOCKERFILE.format(build=stack.build_image, run=stack.run_image))
        self._make_keys()
        tuned = launching.environment(
            Mpi("openmpi5", 4), SLAVES, launching.Machine.here(),
            launching.Ways(f"ssh -F {KEYS}/ssh_config", f"{KEYS}/hosts", "eth0"),
        )  # fmt: skip
        self.tuned = self._script(dict(tuned))
        self.plain = self._script({"PRTE_MCA_plm_ssh_agent": f"ssh -F {KEYS}/ssh_config"})

    def _make_keys(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(mode=0o755)
        for key in ("id", "host_key"):
            subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)), check=True)
        public = (keys / "host_key.pub").read_text()
        hosts = launching.hostfile(Mpi("openmpi5", 4), SLAVES)
        known = "".join(f"[{host}]:2222 {public}" for host in HOSTS)
        texts = {"sshd_config": SSHD, "ssh_config": SSH, "known_hosts": known, "hosts": hosts}
        for name, text in texts.items():
            (keys / name).write_text(text)
        self.runtime.give(keys)

    def _script(self, env: dict[str, str]) -> str:
        keys = f"{self.folder}/keys:{KEYS}:ro"
        podman = self.runtime.kind == "podman"
        return SCRIPT.format(
            client=self.runtime.program, image=self.image, hosts=" ".join(HOSTS),
            quiet="-q", flags=" ".join(self.runtime.registry_flags), now="-t 0" if podman else "",
            options=f"--network hand --user app -v {keys}",
            env=" ".join(f"-e '{name}={value}'" for name, value in env.items()),
        )  # fmt: skip

    def run(self, script: str) -> None:
        shutil.copy(self.source, self.folder / "hello.c")
        env = {**self.runtime.env, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(
            ("sh", "-ec", script), env=env, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode or done.stdout.count("hello from rank") != 4:
            raise SystemExit(f"by hand: {done.stderr}{done.stdout}")


@contextmanager
def by_hand(home: NapHome, folder: Path, source: Path) -> Iterator[ByHand]:
    (folder / "hand").mkdir()
    hand = ByHand(home, folder / "hand", source)
    hand.runtime.ask("network", "create", "hand")
    try:
        hand.run(hand.plain)
        yield hand
    finally:
        hand.runtime.run("rm", "-f", *HOSTS)
        hand.runtime.run("network", "rm", "hand")
        hand.runtime.run("rmi", "-f", hand.image)


def report_times(hello: App, hand: ByHand) -> None:
    """In turn, so that a noisy machine is noisy for all; each by hand is of a source not built before."""
    plain, tuned = "by hand, MPI's defaults", "by hand, nap's flags"
    scripts = {plain: hand.plain, tuned: hand.tuned}
    changed: dict[str, list[float]] = {plain: [], tuned: []}
    again: list[float] = []
    removed: list[float] = []
    hands: dict[str, list[float]] = {plain: [], tuned: []}
    for number in range(ROUNDS):
        for name, script in scripts.items():
            change(hello, f"{name}, {number}")
            hands[name].append(timed(lambda script=script: hand.run(script)))
            changed[name].append(timed(lambda: pushed(hello)))
            removed.append(timed(lambda: remove(hello)))
            again.append(timed(lambda: pushed(hello)))
            remove(hello)
    pushes = [*changed[plain], *changed[tuned]]
    line(plain, hands[plain])
    line(tuned, hands[tuned])
    line("push, changed", pushes)
    line("push, the same again", again)
    line("until all is removed", removed)
    ratio("push / by hand", changed[plain], hands[plain], 0.8)
    ratio("push / by hand, nap's flags", changed[tuned], hands[tuned], 0.8)
    share = statistics.median(again) / statistics.median(pushes)
    print(f"{'the same again / changed':<28}{share:8.2f}    goal 0.6")


def change(hello: App, mark: str) -> None:
    """Another program, by one line."""
    source = (ROOT / "examples" / "hello" / "hello.c").read_text()
    hello.commit({"hello.c": f'{source}const char mark[] = "{mark}";\n'})


def remove(hello: App) -> None:
    """Until nothing is left of its last run."""
    hello.wait(str(hello.runs()[-1]["number"]), "--clean")


def pushed(hello: App) -> None:
    ran = hello.push()
    if ran.out.count("hello from rank") != 4:
        raise SystemExit(ran.out)


def timed(case: Callable[[], object]) -> float:
    started = time.perf_counter()
    case()
    return time.perf_counter() - started


def line(name: str, seconds: list[float]) -> None:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{name:<28}{middle:8.3f} s  ({low:.3f} to {high:.3f})")


def ratio(name: str, ours: list[float], theirs: list[float], goal: float) -> None:
    found = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    print(f"{name:<28}{found:8.2f}    goal {goal}")


def report_bytes(home: NapHome, hello: App) -> None:
    """What the registry stores more after a push of a source with another line."""
    folder = Home(home.root).image_registry
    before = image_server.stored(folder)
    change(hello, "another")
    hello.push()
    added = (image_server.stored(folder) - before) / 1e6
    print(f"{'bytes pushed for one line':<28}{added:8.3f} MB  goal 1 MB")


if __name__ == "__main__":
    main()
