"""The same remote as a path, as file:// and through a real sshd; and nap as an ordinary user."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import polling
from support.etcd import until
from support.installed import Installed
from support.nap_home import WITHIN, App, Ran, wait_for

from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NewApp = Callable[..., App]
_SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else "")
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
ExposeAuthInfo yes
PermitUserEnvironment NAP_KEY
"""


@dataclass(frozen=True)
class Sshd:
    """A server of the test's own, with keys of its own."""

    folder: Path
    port: int

    @property
    def command(self) -> str:
        return self.command_with("user")

    def command_with(self, key: str) -> str:
        """For `GIT_SSH_COMMAND`."""
        options = {
            "UserKnownHostsFile": f"{self.folder}/known", "StrictHostKeyChecking": "accept-new",
            "IdentitiesOnly": "yes", "IdentityFile": f"{self.folder}/{key}", "BatchMode": "yes",
        }  # fmt: skip
        words = [f"-o {name}={value}" for name, value in options.items()]
        return f"ssh -F none -p {self.port} {' '.join(words)}"

    def url(self, path: str) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if not _SSHD or shutil.which("ssh") is None:
        pytest.skip("pushing over ssh needs sshd and ssh: apt-get install openssh-server openssh-client")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user", "named"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30
        )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    user, named = ((folder / f"{name}.pub").read_text() for name in ("user", "named"))
    (folder / "authorized").write_text(f'{user}environment="NAP_KEY=laptop" {named}')
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(
        [_SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE, text=True
    )
    wait_for(server.stderr, "Server listening")
    yield Sshd(folder, port)
    server.terminate()
    server.communicate(timeout=30)


@pytest.fixture
def over_ssh(new_app: NewApp, sshd: Sshd) -> Callable[[dict[str, str | bytes]], App]:
    def make(files: dict[str, str | bytes]) -> App:
        app = new_app(files)
        app.git("remote", "set-url", "nap", sshd.url(app.remote))
        app.git("config", "core.sshCommand", sshd.command)
        return app

    return make


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


def interrupt(push: subprocess.Popen[str]) -> None:
    """Ctrl-C at the pusher's terminal; over ssh the other side hears nothing but silence."""
    os.killpg(push.pid, signal.SIGINT)
    push.communicate(timeout=60)


def test_a_file_url_is_the_same_remote(new_app: NewApp) -> None:
    app = new_app({"profile": "echo the program speaks\n"})
    app.git("remote", "set-url", "nap", f"file://{app.remote}")
    ran = app.push("strict")
    assert ran.code == 0, ran.out
    assert "the program speaks" in ran.out
    app.commit({"profile": "exit 3\n"})
    ran = app.push("strict")
    assert (ran.code, "(run 2: exit 3)" in ran.out) == (1, True)


def test_ssh_is_the_same_remote(over_ssh: Callable[..., App]) -> None:
    app = over_ssh({"profile": "echo the program speaks\n"})
    ran = app.push("strict")
    assert ran.code == 0, ran.out
    assert "the program speaks" in ran.out
    app.commit({"profile": "exit 3\n"})
    ran = app.push("strict")
    assert (ran.code, "(run 2: exit 3)" in ran.out) == (1, True)
    refused = app.push("nodes=3")
    assert refused.code == 1
    assert "there is no push option 'nodes=3'" in refused.out


def test_a_run_is_recorded_with_the_key_that_its_push_came_in_with(
    over_ssh: Callable[..., App], sshd: Sshd
) -> None:
    app = over_ssh({"profile": "true\n"})
    assert app.push().code == 0
    app.git("config", "core.sshCommand", sshd.command_with("named"))
    assert app.push().code == 0
    listed = app.home.run("ssh-keygen", "-l", "-f", f"{sshd.folder}/user.pub").out
    me, fingerprint = getpass.getuser(), listed.split()[1]
    assert [run["who"] for run in app.runs()] == [f"{me} (key {fingerprint})", f"{me} (key laptop)"]


def test_ctrl_c_over_ssh_leaves_the_run_alone(over_ssh: Callable[..., App], gate: Path) -> None:
    app = over_ssh({"profile": f"echo begun; read go < {gate}; seq 100000; exit 6\n"})
    push = app.start_push()
    wait_for(push.stderr, "begun")
    interrupt(push)
    gate.write_text("go\n")
    assert app.wait() == 6
    assert app.logs().splitlines() == ["begun", *map(str, range(1, 100_001))]


def test_ctrl_c_over_ssh_during_the_build_is_not_heard(over_ssh: Callable[..., App], gate: Path) -> None:
    """It ends ssh on this side alone, so what was pushed is built, accepted and run."""
    # The line of the step is shown before it runs: it does not say what the step will.
    step = f"echo comp''iling; read go < {gate}; echo comp''iled"
    manifest = f"build:\n- {step}\n- chmod +x x\nto: x\nhosts: 1\n"
    app = over_ssh({"mpi.xml": manifest, "x": "#!/bin/sh\necho fine\n"})
    push = app.start_push()
    wait_for(push.stderr, "compiling")
    interrupt(push)
    gate.write_text("go\n")
    polling.until(lambda: len(app.runs()), 1, WITHIN)
    assert app.wait() == 0
    settings = StoreSettings.load(app.home.root / "etcd.json")
    until(
        open_store(settings.endpoint),
        settings.keys.runs(app.name),
        lambda listing: '"succeeded"' in str(listing.entries),
    )
    assert app.lines() == ["fine"]
    assert "compiled" in app.home.nap("logs", app.name).err
    assert "built before" in app.push().out
    assert not list((app.home.root / "scratch").iterdir())


def test_a_connection_that_is_cut_leaves_the_run_alone(over_ssh: Callable[..., App], gate: Path) -> None:
    app = over_ssh({"profile": f"echo begun; read go < {gate}; exit 6\n"})
    push = app.start_push()
    wait_for(push.stderr, "begun")
    os.killpg(push.pid, signal.SIGKILL)
    push.communicate(timeout=60)
    gate.write_text("go\n")
    assert app.wait() == 6


def test_a_clone_over_ssh_has_what_was_released(
    over_ssh: Callable[..., App], tmp_path: Path, sshd: Sshd
) -> None:
    app = over_ssh({"profile": "echo the program speaks\n"})
    assert app.push().code == 0
    env = {**app.home.env, "GIT_SSH_COMMAND": sshd.command}
    cloned = app.home.run("git", "clone", "-q", sshd.url(app.remote), str(tmp_path / "clone"), env=env)
    assert cloned.code == 0, cloned
    assert (tmp_path / "clone" / "profile").exists()


# --- as an ordinary user ---

_AS_USER = """
set -e
export HOME="$1" NAP_HOME="$1/home" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@lab.invalid GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@lab.invalid
trap 'nap down' EXIT
nap up
nap create mine
git init -q -b master "$1/tree"; cd "$1/tree"
git remote add nap "$NAP_HOME/repos/mine.git"
printf 'from: who.c\\nto: who\\nhosts: 2\\n' > mpi.xml
cp "$1/who.c" .
git add -A; git commit -q -m one
git push nap master -o strict 2>&1
nap wait mine; echo WAIT $?
id -u
"""
_WHO = """\
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    printf("rank %d is of user %d\\n", rank, (int) getuid());
    MPI_Finalize();
    return 0;
}
"""


@dataclass(frozen=True)
class Nobody:
    """An ordinary user of this machine, and a folder of its own."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str) -> Ran:
        return _run_as_nobody(command, self.env)


def _run_as_nobody(command: tuple[str, ...], env: dict[str, str]) -> Ran:
    nobody = pwd.getpwnam("nobody")
    become = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    ran = subprocess.run(
        [*become, "sh", "-c", 'exec "$0" "$@"', *command],
        cwd="/", env=env, text=True, capture_output=True, timeout=110, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def nobody(from_wheel: Installed) -> Iterator[Nobody]:
    """root's clone and environment may be closed to others: this user has what is installed for all."""
    if os.geteuid() != 0:
        pytest.skip("every test runs as an ordinary user already")
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        env = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        env |= {"PATH": f"{from_wheel.nap.parent}:{os.environ['PATH']}"}
        os.chown(folder, user.pw_uid, user.pw_gid)
        yield Nobody(folder, env)


def test_an_ordinary_user_pushes_as_well(nobody: Nobody) -> None:
    (nobody.folder / "script").write_text(_AS_USER)
    (nobody.folder / "who.c").write_text(_WHO)
    seen = nobody.run("sh", str(nobody.folder / "script"), str(nobody.folder))
    assert seen.code == 0, seen
    for rank in range(2):
        assert f"rank {rank} is of user {pwd.getpwnam('nobody').pw_uid}" in seen.out, seen
    assert "WAIT 0" in seen.out


def test_a_home_of_somebody_else_is_refused(nobody: Nobody, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    for home in (tmp_path / "home", Path("/proc/home"), tmp_path / "home" / "deeper"):
        nobody.env.update(NAP_HOME=str(home), HOME="/nonexistent")
        ran = nobody.run("nap", "up")
        assert ran.code == 1
        assert "did not foresee" not in ran.err
        assert str(home) in ran.err
        assert ran.err.startswith("nap: ")
        assert ran.err.count("\n") == 2
