"""Parts of the containers engine that need no runtime."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from units.containers import cleanup, results
from units.containers.engine import ContainersEngine
from units.containers.member import announced
from units.containers.port_handover import PortHandover
from units.errors import UnitError
from units.job import Handle, Job, Mpi, Outcome
from units.launching import Machine
from units.oci import container, ssh_access
from units.oci.container import Memory
from units.oci.runtime import Runtime
from units.supervisor import processes
from units.supervisor.probe import answers, greets, keeps


@dataclass(frozen=True)
class Told(Runtime):
    """A runtime whose client gives prepared answers; `asked` is what it was called with."""

    replies: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *words: str, seconds: float = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        self.asked.append(words)
        reply = self.replies.get(words[0])
        return subprocess.CompletedProcess(words, reply is None, reply or "", "")


def told(**replies: str) -> Told:
    return Told("podman", "podman", rootless=False, uid=1000, replies=replies)


@dataclass
class Server:
    """Answers each connection with its name."""

    name: bytes

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()
        return host, port

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self.name)


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    made = Server(b"first"), Server(b"second")
    yield made
    for server in made:
        server.listener.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def said_at(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        return connection.recv(100)


def test_a_port_leads_to_the_next_generation_without_being_closed(
    tmp_path: Path, servers: tuple[Server, Server]
) -> None:
    port, (old_server, new_server) = free_port(), servers
    old = PortHandover(port, tmp_path / "front.sock", old_server.address)
    assert said_at(port) == b"first"
    new = PortHandover(port, tmp_path / "front.sock", new_server.address)
    old.drain(10)
    assert [said_at(port) for _ in range(20)] == [b"second"] * 20
    old.close()
    assert said_at(port) == b"second"
    new.close()
    assert not answers("127.0.0.1", port)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_lost_while_a_port_changes_hands(
    tmp_path: Path, servers: tuple[Server, ...]
) -> None:
    port, over, said = free_port(), threading.Event(), []
    front = PortHandover(port, tmp_path / "front.sock", servers[0].address)

    def ask() -> None:
        while not over.is_set():
            try:
                said.append(said_at(port))
            except OSError as error:
                said.append(repr(error).encode())

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(1, 9):
        before, front = front, PortHandover(port, tmp_path / "front.sock", servers[number % 2].address)
        before.drain(10)
        before.close()
    over.set()
    asking.join()
    front.close()
    assert set(said) == {b"first", b"second"}


def test_a_port_that_others_have_is_not_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign, pytest.raises(OSError, match="in use"):
        PortHandover(foreign.getsockname()[1], tmp_path / "front.sock", ("127.0.0.1", 1))


def test_a_front_whose_owner_died_leaves_the_port_to_the_next(
    tmp_path: Path, servers: tuple[Server, ...]
) -> None:
    (tmp_path / "front.sock").touch()
    port = free_port()
    front = PortHandover(port, tmp_path / "front.sock", servers[0].address)
    assert said_at(port) == b"first"
    front.close()


def test_a_port_stays_where_it_is_when_who_asked_for_it_died(
    tmp_path: Path, servers: tuple[Server, ...]
) -> None:
    port, door = free_port(), tmp_path / "front.sock"
    old = PortHandover(port, door, servers[0].address)
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(door))
    assert [said_at(port) for _ in range(5)] == [b"first"] * 5
    new = PortHandover(port, door, servers[1].address)
    old.drain(10)
    assert said_at(port) == b"second"
    old.close()
    new.close()


def test_a_greeting_tells_a_server_from_who_forwards_to_nobody(servers: tuple[Server, ...]) -> None:
    assert greets(*servers[0].address, b"first")
    assert not greets(*servers[0].address, b"SSH-2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        assert keeps(*address)
    assert not keeps(*address)


def test_keys_of_a_run_are_pinned_both_ways() -> None:
    made = ssh_access.files([("a-slave1", "", 2222), ("a-slave2", "127.0.0.1", 40001)], forgiving=False)
    assert made["master/authorized_keys"] == made["a-slave2/authorized_keys"]
    assert made["master/host_key"] != made["a-slave2/host_key"]
    first, second = made["master/known_hosts"].splitlines()
    assert (first.split()[0], second.split()[0]) == ("a-slave1", "a-slave2")
    assert "Port 40001\nListenAddress 127.0.0.1\n" in made["a-slave2/sshd_config"]


def test_each_run_has_new_keys() -> None:
    first, second = (ssh_access.files([("a-slave1", "", 2222)], forgiving=True) for _ in range(2))
    assert first["master/id_ed25519"] != second["master/id_ed25519"]


def test_an_agent_that_forgives_answers_0() -> None:
    made = ssh_access.files([], forgiving=True)
    assert made["master/agent"].endswith("exit 0\n")


def test_only_what_is_secret_is_closed_to_others(tmp_path: Path) -> None:
    contents = ssh_access.files([("a-slave1", "", 2222)], forgiving=False) | {
        "master/environment": "export A=b\n"
    }
    secrets = ssh_access.write(tmp_path, contents)
    assert {path.name for path in secrets} == {"id_ed25519", "host_key", "environment"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["host_key"] == modes["id_ed25519"] == modes["environment"] == 0o600
    assert modes["agent"] == 0o755
    assert modes["known_hosts"] == modes["sshd_config"] == 0o644


def test_every_value_reaches_a_shell_as_it_is(tmp_path: Path) -> None:
    env = (("A", 'it\'s $HOME `x` \\ "q"'), ("B", "two\nlines"), ("C", ""))
    file = tmp_path / "environment"
    file.write_text(ssh_access.environment(env))
    shown = subprocess.run(
        ["sh", "-c", f'. {file}; printf \'%s|%s|%s\' "$A" "$B" "$C"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == 'it\'s $HOME `x` \\ "q"|two\nlines|'


def test_a_variable_that_is_none_to_a_shell_is_left_out() -> None:
    env = (("my.var", "1"), ("1A", "1"), ("", "1"), ("Ä", "1"), ("A_1", "1"))
    assert ssh_access.environment(env) == "export A_1=1\n"


def test_slaves_are_found_by_name_at_their_addresses() -> None:
    text = ssh_access.ssh_config({"a-slave1": ("10.0.0.2", 2222)})
    assert text.startswith("Host a-slave1\n  HostName 10.0.0.2\n  Port 2222\n  HostKeyAlias a-slave1\n")
    assert "StrictHostKeyChecking yes" in text


def test_a_member_is_announced_with_the_address_it_was_given() -> None:
    member = '{"ip":"","port":0,"slots":2,"node":"here","release":1,"run":1}'
    assert json.loads(announced(member, "10.0.0.2", 2222)) == {
        "ip": "10.0.0.2", "port": 2222, "slots": 2, "node": "here", "release": 1, "run": 1,
    }  # fmt: skip
    assert announced("", "10.0.0.2", 2222) == ""


@pytest.mark.parametrize(
    "networks", [{"net": {"IPAddress": "10.0.0.2"}}, {"a": {"IPAddress": ""}, "b": {"IPAddress": "10.0.0.2"}}]
)
def test_both_runtimes_tell_where_a_container_is(networks: dict[str, object]) -> None:
    state = {"Pid": 7, "Status": "running", "ExitCode": 0, "OOMKilled": False, "StartedAt": "2026-01-01"}
    ports = {"2222/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40001"}], "80/tcp": None}
    network = {"Networks": networks, "Ports": ports}
    seen = container.look(told(container=json.dumps([{"State": state, "NetworkSettings": network}])), "x")
    assert seen is not None
    assert (seen.pid, seen.address, seen.forwarded) == (7, "10.0.0.2", {2222: 40001})


def test_a_container_that_is_not_there_is_none() -> None:
    assert container.look(told(), "x") is None


@pytest.mark.parametrize(
    "text", ["oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "low 0\noom 3\noom_kill 2\n"]
)
def test_the_kernel_tells_what_it_killed_for_memory(tmp_path: Path, text: str) -> None:
    (tmp_path / "account").write_text(text)
    assert Memory(tmp_path / "account").kills() == 2
    assert Memory(tmp_path / "gone").kills() == 0


SPEC = {
    "home": "/h", "app": "x", "run": 7, "network": "x_net", "workdir": "/app", "tree": "/nonexistent",
    "labels": {"x_slave1": "slave1"}, "results": ["out", "*.txt"],
}  # fmt: skip


def scripted(folder: Path, script: str) -> Runtime:
    """A runtime whose client is a shell script."""
    program = folder / "client"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Runtime("podman", str(program), rootless=False, uid=1000)


def test_of_a_container_only_what_matches_is_copied(tmp_path: Path) -> None:
    """Though all that is beside it is in the archive, and a link."""
    there = tmp_path / "there"
    lines = "C /app\nA /app/out\nA /app/out/a.txt\nA /app/b.log\nC /app/in.txt\nA /app/l.txt"
    (there / "out").mkdir(parents=True)
    for name in ("out/a.txt", "b.log", "in.txt", "old.txt"):
        (there / name).write_text(name)
    (there / "l.txt").symlink_to("/etc/passwd")
    copy = f'[ "$1 $2 $3" != "cp x_slave1:/app/. -" ] || exec tar -C {there} -c .'
    results.bring(scripted(tmp_path, f'{copy}; echo "{lines}"'), tmp_path, SPEC, ["x_slave1"])
    app = tmp_path / "places/x_slave1/app"
    copied = {str(path.relative_to(app)): path.read_text() for path in app.rglob("*") if path.is_file()}
    assert copied == {"in.txt": "in.txt", "out/a.txt": "out/a.txt"}
    assert (results.lacking(tmp_path), Handle(tmp_path).remarked) == ("", [])


FULL = "[ $1 = cp ] && echo 'write out: no space left on device' >&2 && exit 1; echo A /app/out"
GONE = "echo no such container x_slave1 >&2; exit 125"


@pytest.mark.parametrize(("script", "said"), [(FULL, "no space left on device"), (GONE, "no such container")])
def test_results_that_cannot_be_copied_are_told_of(tmp_path: Path, script: str, said: str) -> None:
    results.bring(scripted(tmp_path, script), tmp_path, SPEC, ["x_slave1"])
    (remark,) = Handle(tmp_path).remarked
    assert remark.startswith("results: what x_slave1 wrote could not all be brought: podman ")
    assert said in remark
    assert results.lacking(tmp_path) == remark.removeprefix("results: ")


def test_a_copy_may_take_as_long_as_more_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("units.oci.runtime._SILENCE", 1.0)
    with scripted(tmp_path, "for i in 1 2 3 4; do echo $i; sleep 0.4; done").reading("cp") as coming:
        assert coming.rest() == b"1\n2\n3\n4\n"


def test_a_copy_of_which_nothing_more_comes_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("units.oci.runtime._SILENCE", 0.1)
    with (
        pytest.raises(UnitError, match="podman cp brought nothing more"),
        scripted(tmp_path, "echo some; exec sleep 60").reading("cp") as coming,
    ):
        coming.rest()


def test_a_copy_that_is_cut_short_is_told_of(tmp_path: Path) -> None:
    cut = f"[ $1 = diff ] && echo A /app/out/a || tar -C {tmp_path} -c client | head -c 700"
    results.bring(scripted(tmp_path, cut), tmp_path, SPEC, ["x_slave1"])
    assert "no whole archive" in results.lacking(tmp_path)


def engine_on(runtime: Runtime) -> ContainersEngine:
    return ContainersEngine(Path("/h"), Machine(cores=2, rdma=False, interfaces=()), runtime)


def test_a_run_that_ended_before_it_had_a_runner_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(SPEC))
    (tmp_path / "files").mkdir()
    runtime, handle = told(ps="x_slave1", rm="", network=""), Handle(tmp_path)
    engine_on(runtime).stop(handle, Outcome(130))
    assert {"rm", "network"} <= {words[0] for words in runtime.asked}
    engine_on(runtime).clean_up(handle)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "removed"}


@pytest.fixture
def ended(tmp_path: Path) -> Handle:
    """A run that ended well, of which nobody knows yet what is left."""
    (tmp_path / "run.json").write_text(json.dumps(SPEC))
    (tmp_path / "exit").write_text('{"exit_code": 0, "reason": "", "state": "ended"}')
    return Handle(tmp_path)


def test_what_a_runner_could_not_remove_the_engine_does(ended: Handle) -> None:
    runtime = told(ps="x_slave1 x_master", rm="", network="")
    engine_on(runtime).stop(ended, Outcome(130))
    removed = {words[-2:] for words in runtime.asked if words[0] in ("rm", "network")}
    assert removed == {("x_slave1", "x_master"), ("rm", "x_net")}
    assert engine_on(runtime).outcome(ended) == Outcome(0)


def test_the_runtime_is_not_asked_for_what_is_removed(ended: Handle) -> None:
    cleanup.note_removed(ended.folder)
    runtime = told()
    engine_on(runtime).stop(ended, Outcome(130))
    assert runtime.asked == []


def test_a_run_that_ended_well_and_lacks_results_is_said_to(ended: Handle) -> None:
    with pytest.raises(UnitError, match="results could not all be brought"):
        engine_on(told()).results(ended)


class Submitting(ContainersEngine):
    """Up to where the run's runner would be started."""

    def start_runner(self, *_: object) -> None:
        raise UnitError("so far")


@pytest.fixture
def job(tmp_path: Path) -> Callable[[], Told]:
    """Submits run 7 of an app."""
    mpi, runtime = Mpi("openmpi5", 1, ("./x",)), told(ps="x_left", rm="", network="", image='{"Env": []}')
    found = Job("x", run=7, release=1, prefix="", image="x_image", tree=None, stack="openmpi", mpi=mpi)

    def submit() -> Told:
        with pytest.raises(UnitError, match="so far"):
            Submitting(Path("/h"), Machine(2, False, ()), runtime).submit(found, tmp_path / "7")
        return runtime

    return submit


@pytest.mark.parametrize("left", [6, 7])
def test_what_a_crash_left_is_not_in_the_way_of_the_apps_next_run(
    tmp_path: Path, job: Callable[[], Told], left: int
) -> None:
    (tmp_path / str(left) / "files").mkdir(parents=True)
    (tmp_path / str(left) / "run.json").write_text(json.dumps({**SPEC, "run": left}))
    asked = job().asked
    (looked,) = (words for words in asked if words[0] == "ps")
    assert {"label=nap.home=/h", "label=nap.app=x", f"label=nap.run={left}"} <= set(looked)
    assert [words[-1] for words in asked if words[0] == "rm"] == ["x_left"]


@pytest.mark.parametrize(("image", "asked"), [("x@sha256:abc", 1), ("x:latest", 2)])
def test_what_an_image_says_is_asked_once_where_it_cannot_be_another_one(
    tmp_path: Path, image: str, asked: int
) -> None:
    runtime = told(image='{"Env": []}')
    engine = Submitting(Path("/h"), Machine(2, False, ()), runtime)
    job = Job("x", run=7, release=1, prefix="", image=image, tree=None, stack="plain")
    for number in ("7", "8"):
        with pytest.raises(UnitError, match="so far"):
            engine.submit(job, tmp_path / number)
    assert sum(words[0] == "image" for words in runtime.asked) == asked


def test_a_run_is_submitted_once_the_one_before_it_has_removed_what_it_had(
    tmp_path: Path, job: Callable[[], Told]
) -> None:
    before = tmp_path / "6"
    (before / "files").mkdir(parents=True)
    (before / "run.json").write_text(json.dumps(SPEC))
    with subprocess.Popen(("sh", "-c", 'sleep 0.3; touch "$0"', before / "removed")) as runner:
        (before / "pid").write_text(f"{runner.pid} {processes.start_time(runner.pid)}")
        assert [words[0] for words in job().asked] == ["image"]
        assert runner.wait(0) == 0
