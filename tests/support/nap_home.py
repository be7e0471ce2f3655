"""A real nap for tests: homes that are up, apps in real git repositories, real pushes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.polling import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
# A whole push may take this on a busy machine.
WITHIN = 150
DEBIAN_MAVEN = Path("/etc/maven/settings-debian.xml")
_IDENTITY = {
    "GIT_AUTHOR_NAME": "A Student", "GIT_AUTHOR_EMAIL": "student@lab.invalid",
    "GIT_COMMITTER_NAME": "A Student", "GIT_COMMITTER_EMAIL": "student@lab.invalid",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A command that ended; `out` has both of its streams unless they were asked for apart."""

    code: int
    out: str
    err: str = ""


class NapHome:
    """One `$NAP_HOME`. `stacks` of another one are shared, so that MPI is installed once.

    `mpi` is where MPI comes from: nap's wheels, unless a test is about the machine's. `command` is the nap
    that serves it, typed in `cwd`.
    """

    command: tuple[str, ...] = (sys.executable, "-m", "receiver")
    cwd = ROOT

    def __init__(self, root: Path, stacks: Path | None = None, mpi: str = "wheel") -> None:
        self.root = root
        self._defaults = f"mpi: {mpi}\n"
        if DEBIAN_MAVEN.exists():
            self._defaults += f"maven: -o -s {DEBIAN_MAVEN}\n"
        self.env = {**os.environ, **_IDENTITY, "NAP_HOME": str(root)}
        root.mkdir(parents=True, exist_ok=True)
        if stacks:
            stacks.mkdir(parents=True, exist_ok=True)
            (root / "stacks").symlink_to(stacks)
        self.settings("")

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(command, env=self.env, text=True, **options)

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        within: float = WITHIN,
        env: dict[str, str] | None = None,
    ) -> Ran:
        done = subprocess.run(
            command, env=env or self.env, cwd=cwd, text=True, errors="replace", stdin=subprocess.DEVNULL,
            capture_output=True, timeout=within, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def nap(self, *arguments: str, within: float = WITHIN) -> Ran:
        return self.run(*self.command, *arguments, cwd=self.cwd, within=within)

    def start_nap(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return self.start(*self.command, *arguments, cwd=self.cwd, **options)

    def json(self, *arguments: str) -> Any:
        ran = self.nap(*arguments, "--json")
        assert ran.code == 0, ran
        return json.loads(ran.out)

    def settings(self, text: str) -> None:
        """Settings of this home; the tests' own defaults stand before them."""
        (self.root / "settings.yaml").write_text(self._defaults + text)

    def always(self, text: str) -> None:
        """Settings that stay whatever a test adds to them."""
        self._defaults += text
        self.settings("")

    def up(self) -> None:
        ran = self.nap("up")
        assert ran.code == 0, ran

    def down(self) -> str:
        """What it says."""
        return self.nap("down").out

    def daemon(self) -> int:
        return int(self.json("status")["pid"])

    def kill_daemon(self) -> None:
        """kill -9, and wait until it is gone."""
        pid = self.daemon()
        watch = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        import select

        assert select.select([watch], [], [], 10)[0]
        os.close(watch)

    def app(self, name: str, tree: Path, files: dict[str, str | bytes] | None = None) -> App:
        """A new app and a repository with `files` in it, ready to be pushed."""
        created = self.json("create", name)
        app = App(self, name, tree, created["remote"])
        app.begin(files or {})
        return app

    def example(self, name: str, tree: Path) -> App:
        shutil.copytree(EXAMPLES / name, tree)
        return self.app(name, tree)


@dataclass
class App:
    """An app and somebody's working copy of it."""

    home: NapHome
    name: str
    tree: Path
    remote: str

    def git(self, *arguments: str) -> Ran:
        return self.home.run("git", *arguments, cwd=self.tree)

    def begin(self, files: dict[str, str | bytes]) -> None:
        self.tree.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "master")
        self.git("remote", "add", "nap", self.remote)
        self.commit(files)

    def commit(self, files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")

    def push_command(self, *options: str, ref: str = "master") -> tuple[str, ...]:
        return ("git", "push", *(word for option in options for word in ("-o", option)), "nap", ref)

    def push(self, *options: str, ref: str = "master", within: float = WITHIN) -> Ran:
        """Push and wait for git; `out` is what the person who pushed saw, without `remote:`."""
        ran = self.home.run(*self.push_command(*options, ref=ref), cwd=self.tree, within=within)
        lines = (ran.err + ran.out).splitlines()
        seen = [line.removeprefix("remote: ").rstrip() for line in lines]
        return Ran(ran.code, "\n".join(seen) + "\n")

    def start_push(self, *options: str) -> subprocess.Popen[str]:
        """A push that goes on while the test does something; its stderr is a pipe."""
        return self.home.start(
            *self.push_command(*options), cwd=self.tree, stderr=subprocess.PIPE, start_new_session=True
        )

    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.home.json("runs", self.name)
        return runs

    def logs(self, *arguments: str) -> str:
        return self.home.nap("logs", self.name, *arguments).out

    def lines(self, *arguments: str) -> list[str]:
        """What the ranks wrote, by line and in no order; on a busy machine mpirun may warn of a setpgid."""
        return sorted(line for line in self.logs(*arguments).splitlines() if "setpgid(" not in line)

    def processes(self) -> list[str]:
        """Command lines of this machine's processes that are about the app's runs."""
        mark = f"/runs/{self.name}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if mark in line:
                found.append(line.decode(errors="replace"))
        return found

    def wait(self, *arguments: str) -> int:
        return self.home.nap("wait", self.name, *arguments).code

    def wait_until_clean(self) -> None:
        """Until what runs had is removed: that comes after their end was told."""
        for run in self.runs():
            self.wait(str(run["number"]), "--clean")


def machine_lacks() -> str:
    """What to install so that this machine has MPIs of its own, or nothing."""
    packages = {
        "mpicc.openmpi": "libopenmpi-dev",
        "mpirun.openmpi": "openmpi-bin",
        "mpicc.mpich": "libmpich-dev",
        "mpirun.mpich": "mpich",
        "gfortran": "gfortran",
    }
    absent = [package for tool, package in packages.items() if shutil.which(tool) is None]
    return f"the machine's own MPI needs: apt-get install {' '.join(absent)}" if absent else ""


def wait_for(stream: Any, text: str) -> str:
    """Read lines until one holds `text`; the line. AssertionError at the stream's end."""
    seen = []
    for line in stream:
        seen.append(line)
        if text in line:
            return str(line)
    raise AssertionError(f"{text!r} did not come in:\n{''.join(seen)}")


def wait_until_up(app: App, run: int) -> None:
    """Until a service's run says so, which may have to begin yet."""
    until(lambda: len(app.runs()) >= run, True, WITHIN)
    logs = app.home.start_nap(
        "logs", app.name, str(run), "-f", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    wait_for(logs.stderr, f"{app.name} is up")
    logs.kill()
    logs.communicate()
