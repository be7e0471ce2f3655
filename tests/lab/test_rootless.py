"""Podman of an ordinary user: a whole push, by a user who is made for the test where the tests are root's."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from nap_lab import EXAMPLES, ROOT, Ran

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="of an ordinary user's Podman all other tests are a test"),
]

NAME = "nap-lab"
PACKAGES = ("buildpacks", "receiver", "registry", "units")
IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@lab.invalid"}
COMMITTER = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@lab.invalid"}
STORAGE = '[storage]\ndriver = "overlay"\n'


@dataclass(frozen=True)
class Student:
    """An ordinary user with a home, a runtime directory and a copy of nap."""

    home: Path
    run: Path
    uid: int

    def do(self, *command: str, cwd: Path | None = None, within: float = 400) -> Ran:
        env = {
            "HOME": str(self.home), "USER": NAME, "PATH": f"{os.defpath}:/usr/sbin:/sbin",
            "XDG_RUNTIME_DIR": str(self.run), **IDENTITY, **COMMITTER,
            **{name: os.environ[name] for name in passed_on()},
        }  # fmt: skip
        done = subprocess.run(
            ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--init-groups", *command],
            env=env, cwd=cwd or self.home, text=True, capture_output=True, timeout=within, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout + done.stderr)

    def nap(self, *arguments: str) -> Ran:
        return self.do(f"{self.home}/venv/bin/python", "-m", "receiver", *arguments)


def passed_on() -> list[str]:
    """How mirrors are reached, and what Podman needs on this machine."""
    return [name for name in os.environ if name == "CONTAINERS_CONF" or name.startswith(("PIP_", "SSL_"))]


def interpreter() -> str:
    """This Python, or the system's of the same version where others may not enter its folder."""
    own = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in own.parents):
        return str(own)
    return f"/usr/bin/python3.{sys.version_info.minor}"


@pytest.fixture
def student(tmp_path: Path) -> Iterator[Student]:
    home = Path("/home") / NAME
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", NAME], check=True)
    uid = pwd.getpwnam(NAME).pw_uid
    made = Student(home, Path(f"/run/user/{uid}"), uid)
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
    subprocess.run([interpreter(), "-m", "venv", "--without-pip", str(student.home / "venv")], check=True)
    libraries = next((student.home / "venv/lib").glob("python3.*")) / "site-packages"
    unwanted = shutil.ignore_patterns("__pycache__", "__editable__*")
    shutil.copytree(sysconfig.get_path("purelib"), libraries, ignore=unwanted, dirs_exist_ok=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, libraries / package)
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
