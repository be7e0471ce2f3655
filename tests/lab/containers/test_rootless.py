"""Podman of an ordinary user: a whole push, by a user who is made for the test where the tests are root's."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.installed import Installed
from support.nap_home import EXAMPLES, Ran

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="of an ordinary user's Podman all other tests are a test"),
]

NAME = "nap-lab"
IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@lab.invalid"}
COMMITTER = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@lab.invalid"}
STORAGE = '[storage]\ndriver = "overlay"\n'


@dataclass(frozen=True)
class Student:
    """An ordinary user with a home, a runtime directory and the nap of everybody."""

    installed: Installed
    home: Path
    run: Path
    uid: int

    def do(self, *command: str, cwd: Path | None = None, within: float = 400) -> Ran:
        env = {
            "HOME": str(self.home), "USER": NAME, "PATH": f"{os.defpath}:/usr/sbin:/sbin",
            "XDG_RUNTIME_DIR": str(self.run), **IDENTITY, **COMMITTER,
            **{name: os.environ[name] for name in passed_on()}, **self.podmans,
        }  # fmt: skip
        done = subprocess.run(
            ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--init-groups", *command],
            env=env, cwd=cwd or self.home, text=True, capture_output=True, timeout=within, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout + done.stderr)

    @property
    def podmans(self) -> dict[str, str]:
        """What Podman needs on this machine; the checkout may be somewhere that only root can read."""
        settings = self.home / ".config/containers/lab.conf"
        return {"CONTAINERS_CONF": str(settings)} if settings.exists() else {}

    def nap(self, *arguments: str) -> Ran:
        return self.do(str(self.installed.nap), *arguments)


def passed_on() -> list[str]:
    """How mirrors are reached."""
    return [name for name in os.environ if name.startswith(("PIP_", "SSL_"))]


@pytest.fixture
def student(from_wheel: Installed) -> Iterator[Student]:
    home = Path("/home") / NAME
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", NAME], check=True)
    uid = pwd.getpwnam(NAME).pw_uid
    made = Student(from_wheel, home, Path(f"/run/user/{uid}"), uid)
    try:
        prepare(made)
        yield made
    finally:
        made.nap("down")
        made.do("podman", "system", "reset", "--force")
        subprocess.run(["pkill", "-KILL", "-u", str(uid)], check=False)
        # Until then it cannot be removed.
        gone = f"while pgrep -u {uid} >/dev/null; do sleep 0.1; done"
        subprocess.run(["timeout", "30", "sh", "-c", gone], check=False)
        shutil.rmtree(made.run, ignore_errors=True)
        subprocess.run(["userdel", "--remove", NAME], check=True, capture_output=True)


def prepare(student: Student) -> None:
    """What a login and a distribution's Podman would have done."""
    Path("/dev/net/tun").chmod(0o666)
    student.run.mkdir(mode=0o700, parents=True)
    settings = student.home / ".config/containers"
    settings.mkdir(parents=True)
    (settings / "storage.conf").write_text(STORAGE)
    if given := os.environ.get("CONTAINERS_CONF"):
        shutil.copy(given, settings / "lab.conf")
    for example in ("hello", "profile-web"):
        shutil.copytree(EXAMPLES / example, student.home / example)
    owner = f"{student.uid}:{student.uid}"
    subprocess.run(["chown", "-R", owner, str(student.home), str(student.run)], check=True)


def push(student: Student, name: str) -> Ran:
    tree = student.home / name
    remote = str(student.home / f".nap/repos/{name}.git")
    created = student.nap("create", name)
    assert created.code == 0, created.out
    for command in (
        ("git", "init", "-q", "-b", "master"),
        ("git", "add", "-A"),
        ("git", "commit", "-q", "-m", "all of it"),
        ("git", "remote", "add", "nap", remote),
    ):
        assert student.do(*command, cwd=tree).code == 0
    return student.do("git", "push", "nap", "master", cwd=tree)


def test_an_ordinary_user_pushes_to_podman(student: Student) -> None:
    up = student.nap("up", "--engine", "containers")
    assert up.code == 0, up.out
    assert "podman (rootless)" in up.out
    pushed = push(student, "hello")
    assert "succeeded, exit 0" in pushed.out, pushed.out
    shown = student.nap("logs", "hello")
    for rank in range(4):
        assert f"hello from rank {rank} of 4 on hello-slave{rank + 1}" in shown.out
    pushed = push(student, "profile-web")
    assert "profile-web is up" in pushed.out, pushed.out
    assert student.nap("down").code == 0
    assert student.do("podman", "ps", "--all", "--quiet").out == ""
