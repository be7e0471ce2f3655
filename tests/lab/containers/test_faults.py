"""What goes wrong with containers in the middle of a push or a run: it is told, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.containers.engine import PROGRAMS
from support.containers.home import SharedStacks, forget, left, new_home
from support.nap_home import App, NapHome, wait_for

from registry.discovery import daemon as discovery
from units.oci import container
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
WHO = {"mpi.xml": "build: chmod +x who\nto: who\nhosts: 2\n", "who": "#!/bin/sh\nhostname\n"}
# The first slave's rank goes on for as long as it is let.
ENDLESS = """\
#!/bin/sh
case $(hostname) in *-slave1) echo begun; exec sleep 1000 ;; esac
"""
EATER = (PROGRAMS / "eater.c").read_text()


def endless() -> dict[str, str | bytes]:
    return {"mpi.xml": "build: chmod +x endless\nto: endless\nhosts: 2\n", "endless": ENDLESS}


class Endless:
    """A run whose first rank has begun."""

    def __init__(self, app: App, runtime: Runtime) -> None:
        self.app, self.runtime = app, runtime
        self.push = app.start_push()
        wait_for(self.push.stderr, "begun")

    def slave(self, index: int) -> str:
        mine = container.labelled(self.runtime, home=str(self.app.home.root), app=self.app.name)
        (name,) = (one for one in mine if one.endswith(f"_slave{index}"))
        return name

    def end(self) -> str:
        """What the pusher is told from here on."""
        return str(self.push.communicate(timeout=100)[1])


@pytest.fixture
def nap(own_containers_home: NapHome) -> NapHome:
    own_containers_home.up()
    return own_containers_home


# --- the receiver ---


def test_a_run_is_gathered_on_after_the_receiver_died_in_it(nap: NapHome, tmp_path: Path) -> None:
    app = nap.app("ranks", tmp_path / "tree", dict(WHO))
    assert app.push().code == 0
    discovery_pid = discovery.pid(nap.root)
    assert discovery_pid
    # No slave gets into etcd while discovery is stopped: the gather waits.
    os.kill(discovery_pid, signal.SIGSTOP)
    try:
        push = app.start_push()
        wait_for(push.stderr, "2 slaves")
        nap.kill_daemon()
        push.communicate(timeout=60)
        nap.up()
        assert app.runs()[1]["state"] == "starting"
    finally:
        os.kill(discovery_pid, signal.SIGCONT)
    assert app.wait("2") == 0
    assert app.lines("2") == ["ranks-slave1", "ranks-slave2"]


def test_what_a_killed_runner_leaves_is_removed(nap: NapHome, runtime: Runtime, tmp_path: Path) -> None:
    run = Endless(nap.app("endless", tmp_path / "tree", endless()), runtime)
    pid = int((nap.root / "runs/endless/1/pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    assert "its processes were killed from outside" in run.end()
    run.app.wait_until_clean()
    assert left(nap, runtime) == []
    assert run.app.home.nap("run", "endless", "-o", "detach").code == 0
    assert nap.nap("cancel", "endless").code == 0


def test_down_ends_runs_and_leaves_nothing(nap: NapHome, runtime: Runtime, tmp_path: Path) -> None:
    run = Endless(nap.app("endless", tmp_path / "tree", endless()), runtime)
    assert "stopped endless run 1" in nap.nap("down").out
    run.end()
    assert left(nap, runtime) == []


# --- the runtime ---


def test_a_docker_that_does_not_run_is_said_to_be(own_home: NapHome, docker: Runtime) -> None:
    own_home.always(f"containers: {{runtime: {docker.kind}}}\n")
    own_home.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    ran = own_home.nap("up", "--engine", "containers")
    assert ran.code == 1
    assert "Cannot connect to the Docker daemon at unix:///nonexistent/docker.sock" in ran.err
    assert "hint: start Docker's daemon: systemctl start docker" in ran.err
    assert ran.err.count("nap: ") == 1
    assert "Traceback" not in ran.err
    assert own_home.nap("status").code == 1
    own_home.up()
    assert own_home.json("status")["engine"] == "local"


def test_a_docker_that_went_away_refuses_a_push_in_a_sentence(
    tmp_path: Path, image_stacks: SharedStacks, docker: Runtime
) -> None:
    """The daemon reaches Docker through a socket of the test's own, which goes."""
    home = new_home(tmp_path / "home", image_stacks, docker)
    door = tmp_path / "docker.sock"
    door.symlink_to("/var/run/docker.sock")
    home.env["DOCKER_HOST"] = f"unix://{door}"
    try:
        home.up()
        app = home.app("ranks", tmp_path / "tree", dict(WHO))
        assert app.push().code == 0
        door.unlink()
        app.commit({"more": "1\n"})
        pushed = app.push()
        assert pushed.code == 1
        assert "Cannot connect to the Docker daemon" in pushed.out
        assert "systemctl start docker" in pushed.out
        assert "did not foresee" not in pushed.out
        assert len(app.runs()) == 1
        door.symlink_to("/var/run/docker.sock")
        assert app.push().code == 0
    finally:
        home.down()
        forget(home, docker)


def test_a_foreign_container_with_a_slaves_name_is_left_alone(
    new_containers_app: NewApp, runtime: Runtime, image_stacks: SharedStacks
) -> None:
    app = new_containers_app(dict(WHO))
    assert app.push().code == 0
    app.wait_until_clean()
    name = f"{prefix(app)}_{app.name}_slave2"
    image = image_stacks.of(runtime, "plain").run_image
    runtime.ask("create", "--name", name, image, "true")
    try:
        ran = app.push("strict")
        assert ran.code == 1
        assert f"there is a container {name} that is not nap's" in ran.out
        assert f"remove it: {runtime.kind} rm {name}" in ran.out
        assert name in runtime.ask("ps", "--all", "--format", "{{.Names}}").split()
    finally:
        runtime.ask("rm", name)
    assert app.push("strict").code == 0


def prefix(app: App) -> str:
    from receiver.home.paths import Home

    return Home(app.home.root).id


# --- slaves ---


@pytest.mark.parametrize("verb", [("kill",), ("rm", "--force")], ids=["killed", "removed"])
def test_a_slave_that_is_lost_ends_the_run(
    new_containers_app: NewApp, runtime: Runtime, verb: tuple[str, ...]
) -> None:
    """However it went is told by who looks after its container, whoever is first to hear of it."""
    run = Endless(new_containers_app(endless()), runtime)
    name = run.slave(2)
    runtime.ask(*verb, name)
    killed = r"was killed by signal 9 \(SIGKILL\)"
    seen = f"{run.app.name}-slave2: the container {name} ({killed}|was (stopped|removed) by hand)"
    assert re.search(f"failed, exit 137 .{seen}", run.end())
    assert run.app.wait() == 137


def test_a_rank_over_its_slaves_memory_is_told_so(new_containers_app: NewApp) -> None:
    manifest = "from: eater.c\nto: eater\nhosts: 2\nmemory: 64M\n"
    ran = new_containers_app({"mpi.xml": manifest, "eater.c": EATER}).push("strict")
    assert ran.code == 1
    assert "ran out of memory: it used all of the 64 MB it may use (memory: in mpi.xml)" in ran.out


def test_a_slave_that_ends_at_once_is_shown_with_its_last_words(
    new_containers_app: NewApp, runtime: Runtime, image_stacks: SharedStacks
) -> None:
    stack = image_stacks.of(runtime, "openmpi").build_image
    sshd = "RUN printf '#!/bin/sh\\necho nothing works here\\nexit 5\\n' > /usr/sbin/sshd"
    text = f"FROM {stack}\nUSER root\n{sshd}\nCOPY who /app/\nRUN chmod +x /app/who\nWORKDIR /app\n"
    manifest = "to: who\nhosts: 2\n"
    app = new_containers_app({"Dockerfile": text, "mpi.xml": manifest, "who": WHO["who"]})
    ran = app.push("strict")
    assert ran.code == 1
    assert "ended with 5: nothing works here" in ran.out


# --- who pushes ---


BUILDS: dict[str, Callable[[str], dict[str, str | bytes]]] = {
    # The line of a step is shown before it runs: it does not say what the step will.
    "a step": lambda _: {"mpi.xml": "build: echo be''gun; sleep 1000\nto: x\nhosts: 1\n", "x": ""},
    "a Dockerfile": lambda base: {"Dockerfile": f"FROM {base}\nRUN echo be''gun; sleep 1000\n"},
}


@pytest.mark.parametrize("files", BUILDS.values(), ids=BUILDS)
def test_ctrl_c_during_a_build_ends_it_and_leaves_nothing(
    new_containers_app: NewApp,
    runtime: Runtime,
    image_stacks: SharedStacks,
    files: Callable[[str], dict[str, str | bytes]],
) -> None:
    app = new_containers_app(files(image_stacks.of(runtime, "plain").run_image))
    push = app.start_push()
    wait_for(push.stderr, "begun")
    os.killpg(push.pid, signal.SIGINT)
    push.communicate(timeout=60)
    assert push.returncode != 0
    # The next push waits until the one before it is over.
    app.git("rm", "-q", "-r", ".")
    app.commit(WHO)
    assert app.push("strict").code == 0
    assert len(app.runs()) == 1
    app.wait_until_clean()
    assert left(app.home, runtime) == []


# --- the disk ---


@pytest.fixture
def small(tmp_path: Path, image_stacks: SharedStacks, runtime: Runtime) -> Iterator[NapHome]:
    """A home on a small disk that is up; the runtime's images are elsewhere."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a home a disk of its own")
    root = tmp_path / "home"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "nap-test", str(root)], check=True)
    try:
        home = new_home(root, image_stacks, runtime)
        home.up()
        yield home
        home.down()
        assert left(home, runtime) == []
        forget(home, runtime)
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


FILL = "cat /dev/zero >$NAP_SHARE/full; cat /dev/zero; exit 5\n"


def leave_free(home: NapHome, size: int) -> Path:
    room = os.statvfs(home.root)
    filler = home.root / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - size)
    return filler


def test_a_full_disk_is_said_and_leaves_a_home_that_works(small: NapHome, tmp_path: Path) -> None:
    manifest = "build: [chmod +x who, head -c 60000000 /dev/zero > filled]\nto: who\nhosts: 2\n"
    app = small.app("full", tmp_path / "tree", {"mpi.xml": manifest, "who": WHO["who"]})
    filler = leave_free(small, 40_000_000)
    pushed = app.push()
    assert pushed.code == 1, pushed
    assert "No space left on device" in pushed.out
    assert "did not foresee" not in pushed.out
    assert app.runs() == []
    filler.unlink()
    fill = {"mpi.xml": "run: sh fill.sh\nhosts: 1\n", "fill.sh": FILL}
    pushed = small.app("fills", tmp_path / "fills", fill).push("strict")
    assert "(run 1: exit 5)" in pushed.out, pushed.out
    ran = app.push("strict")
    assert ran.code == 0, ran.out
