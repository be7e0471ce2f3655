"""Exported compose files, run by docker-compose alone."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pytest
import yaml
from support.containers.runtimes import forget_images
from support.nap_home import EXAMPLES, App, NapHome, Ran, wait_for

from units import compose, names
from units.job import Job, Mpi
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]
WITHIN = 150
NewApp = Callable[..., App]
TO_THE_END = ("--abort-on-container-exit", "--exit-code-from", "master")


@dataclass(frozen=True)
class Project:
    """A folder with a compose file in it, as somebody who knows nothing of nap has it."""

    folder: Path
    docker: Runtime

    def run(self, *words: str) -> Ran:
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.docker.env, text=True, errors="replace",
            capture_output=True, timeout=WITHIN, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return ["docker-compose", "--no-ansi", *words]

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[IO[str]]:
        """What a docker-compose says that goes on; it is ended afterwards, whatever came of it."""
        with subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.docker.env, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                yield process.stdout
            finally:
                process.kill()

    def output(self, ran: Ran) -> list[str]:
        """What the master's program wrote; on a busy machine mpirun may warn of a setpgid."""
        lines = re.findall(r"^master_1\s+\| ?(.*)$", ran.out, re.M)
        return [line for line in lines if "setpgid(" not in line]

    def containers(self, service: str) -> list[str]:
        """Their ids; also of those that have ended."""
        return self.run("ps", "-aq", service).out.split()

    @property
    def name(self) -> str:
        return self.folder.name


@pytest.fixture(scope="session")
def exported(
    docker: Runtime,
    tmp_path_factory: pytest.TempPathFactory,
    stacks: Path,
) -> Iterator[Callable[[str], str]]:
    """What `nap render --engine compose` prints of an example that was pushed."""
    folder = tmp_path_factory.mktemp("compose")
    home = NapHome(folder / "home", stacks)
    home.settings("containers: {runtime: docker}\n")
    assert home.nap("up", "--engine", "containers", within=300).code == 0

    registries = set()

    @functools.cache
    def render(name: str) -> str:
        pushed = home.example(name, folder / name).push(within=300)
        assert pushed.code == 0, pushed
        home.nap("cancel", name)  # a service would keep its port
        rendered = home.nap("render", name, "--engine", "compose")
        assert rendered.code == 0, rendered
        registries.add(_image(rendered.out).partition("/")[0])
        return rendered.out

    yield render
    home.down()
    for registry in registries:
        forget_images(docker, registry)


@pytest.fixture(scope="session")
def hello(exported: Callable[[str], str]) -> Job:
    """The example as a job of which tests change what they are about."""
    image = _image(exported("hello"))
    job = Job(app="hello", run=1, release=1, prefix="", image=image, tree=None, stack="openmpi")
    return replace(job, mpi=Mpi("openmpi5", 1))


def _image(content: str) -> str:
    """That of the file's services, which have the same."""
    images: set[str] = {service["image"] for service in yaml.safe_load(content)["services"].values()}
    return images.pop()


@pytest.fixture
def project(docker: Runtime, tmp_path: Path) -> Iterator[Project]:
    if shutil.which("docker-compose") is None:
        pytest.skip("this needs: apt-get install docker-compose")
    made = Project(tmp_path / f"p{os.urandom(3).hex()}", docker)
    made.folder.mkdir()
    yield made
    made.run("down", "-v", "-t", "1")


@pytest.fixture
def export(project: Project, hello: Job) -> Callable[..., Project]:
    """Writes the compose file of hello with another program, and as many ranks as are given."""

    def write(*program: str, ranks: tuple[int, ...] = (1, 1), mpi: Mpi | None = None) -> Project:
        assert hello.mpi is not None
        run = mpi or replace(hello.mpi, program=program)
        job = replace(hello, mpi=run, slaves=names.slaves("hello", 1, ranks))
        (project.folder / "compose.yaml").write_text(compose.units(job)[0].content)
        return project

    return write


def test_a_home_without_images_of_containers_says_what_to_do(home: NapHome, new_app: NewApp) -> None:
    app = new_app({"profile": "app: true\n"})
    assert app.push().code == 0
    refused = home.nap("render", app.name, "--engine", "compose")
    assert refused.code == 1
    assert "is not an image of containers" in refused.err
    assert "nap up --engine containers" in refused.err


def test_an_engine_that_is_none_is_refused(home: NapHome, new_app: NewApp) -> None:
    refused = home.nap("render", new_app({}).name, "--engine", "kompose")
    assert "there is no engine 'kompose'" in refused.err


def test_seven_slaves_print_seven_hostnames(project: Project, exported: Callable[[str], str]) -> None:
    (project.folder / "compose.yaml").write_text(exported("hello"))
    with project.started("up", "--scale", "slave=7") as up:
        greetings = [wait_for(up, " of 7 on ") for _ in range(7)]
        wait_for(up, "master_1 exited with code 0")
    assert len({line.split(" on ")[1] for line in greetings}) == 7


def test_it_works_again_after_all_was_taken_down(project: Project, exported: Callable[[str], str]) -> None:
    (project.folder / "compose.yaml").write_text(exported("hello"))
    for _ in range(2):
        ran = project.run("up", *TO_THE_END)
        assert (ran.code, len(project.output(ran))) == (0, 4), ran
        project.run("down", "-v")
    assert project.docker.ask("volume", "ls", "-q", "--filter", f"name={project.name}") == ""
    assert project.docker.ask("ps", "-aq", "--filter", f"name={project.name}") == ""


def test_it_works_again_after_it_was_stopped(project: Project, exported: Callable[[str], str]) -> None:
    (project.folder / "compose.yaml").write_text(exported("hello"))
    for _ in range(2):
        ran = project.run("up", *TO_THE_END)
        assert (ran.code, len(project.output(ran))) == (0, 4), ran


def test_the_heat_stencil_agrees_with_its_verify(
    project: Project, exported: Callable[[str], str], tmp_path: Path
) -> None:
    (project.folder / "compose.yaml").write_text(exported("heat"))
    ran = project.run("up", *TO_THE_END)
    assert ran.code == 0, ran
    results = tmp_path / "results"
    results.mkdir()
    for container in project.containers("slave"):
        project.docker.ask("cp", f"{container}:/app", f"{results}/slave-{container}")
    _verify("heat", "\n".join(project.output(ran)), NAP_RESULTS=str(results))


def _verify(example: str, output: str, **env: str) -> None:
    verify = subprocess.run(
        [str(EXAMPLES / example / "verify")], input=output, env={**os.environ, **env}, text=True,
        capture_output=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    assert verify.returncode == 0, verify.stderr


def test_mpichs_ranks_meet_within_a_slave_and_between_two(
    project: Project, exported: Callable[[str], str]
) -> None:
    (project.folder / "compose.yaml").write_text(exported("mpich"))
    ran = project.run("up", *TO_THE_END)
    assert ran.code == 0, ran
    _verify("mpich", "\n".join(project.output(ran)))


def test_a_service_is_published_at_its_port(project: Project, exported: Callable[[str], str]) -> None:
    content = exported("profile-web")
    (project.folder / "compose.yaml").write_text(content)
    port = yaml.safe_load(content)["services"]["web"]["environment"]["PORT"]
    with project.started("up") as up:
        said = wait_for(up, "listening on")
        _verify("profile-web", said.partition("| ")[2], NAP_URL=f"http://127.0.0.1:{port}")


def test_all_share_one_directory(export: Callable[..., Project]) -> None:
    script = ("sh", "-ec", "mpirun sh -c 'touch /share/$(hostname); sleep 0.5'; ls /share | wc -l")
    project = export(mpi=Mpi("openmpi5", 2, script=script))
    assert project.output(project.run("up", *TO_THE_END)) == ["2"]


def test_every_node_knows_the_others_by_name(export: Callable[..., Project]) -> None:
    project = export("./hello", ranks=(1, 1, 1))
    project.run("up", "-d")
    hostname = project.run("exec", "-T", "--index=3", "slave", "hostname").out.strip()
    asked = f"ssh {hostname} hostname; ssh {project.name}_slave_3 hostname"
    for service in "master", "slave":
        ran = project.run("run", "--rm", "--no-deps", "--entrypoint", "sh", service, "-c", _ENTER + asked)
        assert ran.out.split() == [hostname, hostname], ran


_ENTER = "umask 077; mkdir -p ~/.ssh; cp /keys/ssh/* ~/.ssh; "


def test_slots_are_those_that_were_pushed(export: Callable[..., Project]) -> None:
    project = export("./hello", ranks=(3, 1))
    assert sorted(_ranks(project, project.run("up", *TO_THE_END))) == [1, 3]


def _ranks(project: Project, ran: Ran) -> list[int]:
    """How many greeted from each slave."""
    hosts = [line.rpartition(" on ")[2] for line in project.output(ran)]
    return [hosts.count(container[:12]) for container in project.containers("slave")]


def test_more_slaves_than_pushed_get_the_most_slots(export: Callable[..., Project]) -> None:
    project = export("./hello", ranks=(2, 1))
    assert _ranks(project, project.run("up", "--scale", "slave=3", *TO_THE_END)) == [2, 2, 2]


def test_a_script_calls_mpirun_over_all_slaves(export: Callable[..., Project]) -> None:
    script = ("sh", "-ec", "mpirun ./hello; echo between; mpirun -np 1 ./hello")
    project = export(mpi=Mpi("openmpi5", 2, script=script))
    lines = project.output(project.run("up", *TO_THE_END))
    assert lines.index("between") == 2
    assert len(lines) == 4


def test_words_and_variables_reach_the_ranks_as_they_are(export: Callable[..., Project]) -> None:
    odd = ('q"uo', "si'ngle", "a  b", "100%", "$HOME", "$$", "ü😀", "\\", "")
    value = "a \"b' $HOME 50%\n second=line ü"
    show = 'printf "[%s]\n" "$@"; printenv ODD'
    program = ("sh", "-c", show, "x", *odd)
    project = export(ranks=(1,), mpi=Mpi("openmpi5", 1, program, env=(("ODD", value),)))
    lines = project.output(project.run("up", *TO_THE_END))
    assert lines == [*(f"[{word}]" for word in odd), *value.split("\n")]


def test_the_programs_exit_code_is_composes(export: Callable[..., Project]) -> None:
    assert export("sh", "-c", "exit 3").run("up", *TO_THE_END).code == 3


def test_ranks_are_no_root_and_can_gain_no_right(export: Callable[..., Project]) -> None:
    show = "id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    project = export("sh", "-c", show, ranks=(1,))
    ran = project.run("up", *TO_THE_END)
    lines = ran.out
    assert project.output(ran)[:1] == ["1000"]
    assert "CapEff:\t0000000000000000" in lines
    assert "NoNewPrivs:\t1" in lines


def test_a_killed_slave_ends_the_run_with_an_error(export: Callable[..., Project]) -> None:
    project = export("sh", "-c", "echo up; exec sleep 600")
    with project.started("up") as up:
        for _ in range(2):
            wait_for(up, "| up")
        project.docker.ask("kill", project.containers("slave")[1])
        line = wait_for(up, "master_1 exited with code")
    assert not line.endswith(" 0\n")


def test_who_has_another_key_cannot_get_into_a_slave(export: Callable[..., Project]) -> None:
    project = export("./hello")
    project.run("up", "-d")
    another = (
        "umask 077; mkdir -p ~/.ssh; cp /keys/ssh/config /keys/ssh/known_hosts ~/.ssh; "
        "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519; ssh slave echo is in"
    )
    ran = project.run("run", "--rm", "--no-deps", "--entrypoint", "sh", "master", "-c", another)
    assert (ran.code, ran.out) == (255, ""), ran
    assert "Permission denied (publickey)" in ran.err


def test_a_slave_with_another_host_key_ends_the_run(export: Callable[..., Project]) -> None:
    project = export("./hello")
    project.run("up", "-d", "slave")
    slave = yaml.safe_load((project.folder / "compose.yaml").read_text())["services"]["slave"]
    script = slave["entrypoint"][2].replace("$$", "$")
    foreign = project.docker.ask(
        "run", "-d", "--network", f"{project.name}_default", "--network-alias", "slave",
        "--tmpfs", "/keys:mode=1777", "--entrypoint", "sh", slave["image"], "-euc", script,
    ).strip()  # fmt: skip
    try:
        greets = "ssh-keyscan -p 2222 localhost 2>/dev/null | grep -q ."
        project.docker.ask("exec", foreign, "sh", "-c", f"until {greets}; do sleep 0.1; done")
        ran = project.run("up", *TO_THE_END)
    finally:
        project.docker.ask("rm", "-f", foreign)
    assert ran.code != 0, ran.out
    assert "Host key verification failed" in ran.out
    assert "hello from" not in ran.out
