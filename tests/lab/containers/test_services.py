"""Apps with a Dockerfile of their own, and services, on both runtimes: pushed for real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.containers.home import SharedStacks
from support.nap_home import EXAMPLES, App, NapHome, wait_until_up
from support.services import DOCKERFILE, SERVER, ask, asked_all_the_time, service, wait_for_lines

from units.oci import container
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
# By their numbers in linux/capability.h: what could load modules, reach disks, raw sockets, the kernel's log.
MACHINES_OWN = (12, 13, 16, 17, 18, 19, 21, 22, 27, 34, 37, 38, 39)


def port(app: App) -> int:
    return int(app.home.json("config", app.name)["port"])


def containers(app: App, runtime: Runtime) -> list[dict[str, Any]]:
    """What the runtime says of each container of an app."""
    names = container.labelled(runtime, home=str(app.home.root), app=app.name)
    return [json.loads(runtime.ask("container", "inspect", name))[0] for name in names]


@pytest.fixture
def base(image_stacks: SharedStacks, runtime: Runtime) -> str:
    """A shell and Python."""
    return image_stacks.of(runtime, "plain").run_image


@pytest.fixture
def own_image(new_containers_app: NewApp, base: str) -> App:
    """A Dockerfile and nothing else, pushed."""
    app = new_containers_app(
        {"Dockerfile": DOCKERFILE.format(base=base), "server.py": SERVER.replace("WORD", "hello")}
    )
    pushed = app.push()
    assert pushed.code == 0, pushed.out
    return app


def test_a_dockerfile_alone_is_a_service_that_answers(own_image: App) -> None:
    assert ask(port(own_image)) == "hello"
    (run,) = own_image.runs()
    assert (run["state"], run["service"]) == ("running", True)
    wait_for_lines(own_image, "hello starts")
    assert [unit["state"] for unit in own_image.home.json("ps")[0]["units"]] == ["alive"]


def test_what_it_wrote_goes_with_it(own_image: App, runtime: Runtime) -> None:
    (found,) = containers(own_image, runtime)
    (volume,) = (mount["Name"] for mount in found["Mounts"] if mount["Type"] == "volume")
    assert own_image.home.nap("cancel", own_image.name).code == 0
    assert own_image.wait() == 130
    own_image.wait_until_clean()
    assert containers(own_image, runtime) == []
    assert volume not in runtime.ask("volume", "ls", "--quiet").split()


def test_it_cannot_reach_the_machine(own_image: App, runtime: Runtime) -> None:
    (found,) = containers(own_image, runtime)
    files = own_image.home.root / "runs" / own_image.name
    bound = [mount["Source"] for mount in found["Mounts"] if mount["Type"] == "bind"]
    assert all(Path(source).is_relative_to(files) for source in bound)
    host = found["HostConfig"]
    assert not host["Privileged"]
    assert not host["Devices"]
    assert host["PidsLimit"] == 4096
    assert "host" not in {host[kind] for kind in ("NetworkMode", "PidMode", "IpcMode", "UTSMode")}
    assert any("no-new-privileges" in option for option in host["SecurityOpt"])


def test_its_processes_have_no_rights_over_the_machine(own_image: App, runtime: Runtime) -> None:
    (found,) = containers(own_image, runtime)
    pid = found["State"]["Pid"]
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split()[1] == "4242"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert [number for number in MACHINES_OWN if int(status["CapBnd"], 16) >> number & 1] == []
    for kind in ("pid", "net", "mnt", "ipc", "uts"):
        assert Path(f"/proc/{pid}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()
    seen = runtime.ask(
        "exec", found["Id"], "sh", "-c", "ls /var/run/docker.sock /run/podman || true; ls /run/nap"
    )
    assert seen.split() == ["environment"]


def test_a_destroyed_apps_images_are_gone(own_image: App, runtime: Runtime) -> None:
    (found,) = containers(own_image, runtime)
    image = found["Image"]
    assert runtime.run("image", "inspect", image).returncode == 0
    assert own_image.home.nap("destroy", own_image.name, "--yes").code == 0
    assert containers(own_image, runtime) == []
    assert runtime.run("image", "inspect", image).returncode != 0


def test_a_dockerfile_with_mpi_xml_runs_under_mpirun(
    new_containers_app: NewApp, image_stacks: SharedStacks, runtime: Runtime
) -> None:
    stack = image_stacks.of(runtime, "openmpi").build_image
    source = (EXAMPLES / "hello" / "hello.c").read_text()
    app = new_containers_app({
        "Dockerfile": f"FROM {stack}\nWORKDIR /srv/mine\nCOPY . .\nRUN mpicc hello.c -o hello\n",
        "mpi.xml": "to: hello\nhosts: 2\nslots: 2\n", "hello.c": source,
    })  # fmt: skip
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert [f"rank {rank} of 4" in " ".join(app.lines()) for rank in range(4)] == [True] * 4
    assert app.push("strict", "hosts=1").code == 0
    assert "of 2" in app.logs()


def test_a_push_replaces_a_service_without_a_gap(new_containers_app: NewApp) -> None:
    app = new_containers_app(service("first"))
    assert app.push().code == 0
    app.commit(service("second"))
    with asked_all_the_time(port(app)) as seen:
        pushed = app.push()
    assert pushed.code == 0, pushed.out
    assert seen.failures == []
    assert set(seen.answers) == {"first", "second"}
    app.wait("1")
    assert [(run["state"], run["exit_code"]) for run in app.runs()] == [("replaced", 0), ("running", None)]


@pytest.mark.parametrize("broken", ["sleep 1000", "exit 5"])
def test_a_release_that_does_not_come_up_leaves_the_old_one_answering(
    own_containers_home: NapHome, tmp_path: Path, broken: str
) -> None:
    own_containers_home.up()
    app = own_containers_home.app("web", tmp_path / "tree", service("first"))
    assert app.push().code == 0
    own_containers_home.settings("answer_timeout: 4\n")
    own_containers_home.up()
    app.commit({"profile": f"web: {broken}\n"})
    with asked_all_the_time(port(app)) as seen:
        pushed = app.push("strict")
    assert pushed.code == 1
    assert f"did not answer on port {port(app)} within 4 s" in pushed.out
    assert seen.failures == []
    assert set(seen.answers) == {"first"}
    states = [(run["state"], run["release"]) for run in app.runs()]
    assert states == [("running", 1), ("failed", 2)]


def test_a_service_outlives_the_receiver_and_is_replaced_by_the_next(
    own_containers_home: NapHome, tmp_path: Path
) -> None:
    own_containers_home.up()
    app = own_containers_home.app("web", tmp_path / "tree", service("first"))
    assert app.push().code == 0
    app.commit(service("second"))
    with asked_all_the_time(port(app)) as seen:
        own_containers_home.kill_daemon()
        own_containers_home.up()
        pushed = app.push()
    assert pushed.code == 0, pushed.out
    assert seen.failures == []
    assert set(seen.answers) == {"first", "second"}


def test_a_service_comes_back_with_nap(
    own_containers_home: NapHome, runtime: Runtime, tmp_path: Path
) -> None:
    own_containers_home.up()
    app = own_containers_home.app("web", tmp_path / "tree", service("first"))
    assert app.push().code == 0
    number = port(app)
    own_containers_home.down()
    assert containers(app, runtime) == []
    with pytest.raises(ConnectionRefusedError):
        ask(number)
    own_containers_home.up()
    wait_until_up(app, 2)
    assert ask(number) == "first"
