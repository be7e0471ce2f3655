"""Podman or Docker behind one interface: find the one on this machine, and call its client."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from units.errors import UnitError

# A user in every image of nap's stacks. Programs run as this user, except with an ordinary user's Docker.
APP_ID = 1000
SECONDS = 120.0
# Seconds without data after which a copy is given up.
_SILENCE = 60.0
_BLOCK = 1 << 16
# Podman writes a file `oom` to its working directory; nothing can be created in this one.
_NOWHERE = "/proc"
# Commands that fail when a runtime does not work.
_ANY = {
    "podman": ("info", "--format", "{{.Host.OCIRuntime.Name}}"),
    "docker": ("version", "--format", "{{.Server.Version}}"),
}
# Podman's network backend, reported from version 4 on.
_BACKEND = "{{.Host.NetworkBackend}}"
_PASSED_ON = (
    "PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME",
    "DOCKER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip


@dataclass(frozen=True)
class Runtime:
    """One of this machine's container runtimes.

    `kind` is `podman` or `docker`; `rootless` means an ordinary user's Podman. `uid` is the programs' user
    inside. `logins` is a folder with a `config.json` of registry logins, None if there is none.
    `registry_flags` are pull and push options for Podman alone: Docker's daemon has its own settings.
    `isolates`: containers of one network can be kept from reaching those of another.
    """

    kind: str
    program: str
    rootless: bool
    uid: int
    logins: Path | None = None
    registry_flags: tuple[str, ...] = ()
    isolates: bool = True

    @property
    def shown(self) -> str:
        return f"{self.kind} (rootless)" if self.rootless else self.kind

    def command(self, *words: str) -> list[str]:
        return [self.program, *words]

    @property
    def env(self) -> dict[str, str]:
        """A clean environment for the client, with nap's logins, which never appear in an argv."""
        ours = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        if self.logins is None:
            return ours
        file = str(self.logins / "config.json")
        return {**ours, "DOCKER_CONFIG": str(self.logins), "REGISTRY_AUTH_FILE": file}

    def ask(self, *words: str, seconds: float = SECONDS, stdin: str = "") -> str:
        """Return the client's stdout. Raise UnitError when it fails, with its last line, or is too slow."""
        done = self.run(*words, seconds=seconds, stdin=stdin)
        if done.returncode:
            raise UnitError(f"{self.kind} {words[0]}: {last_line(done.stderr)}", self.hint(done.stderr))
        return done.stdout

    def run(
        self, *words: str, seconds: float = SECONDS, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the client and return its result, failed or not.

        Raise UnitError when it cannot be run or takes longer than `seconds`.
        """
        try:
            return subprocess.run(
                self.command(*words), env=self.env, cwd=_NOWHERE, input=stdin, capture_output=True,
                text=True, errors="replace", timeout=seconds, check=False,
            )  # fmt: skip
        except OSError as error:
            raise UnitError(f"{self.program} cannot be run: {error.strerror}", "see: nap doctor") from error
        except subprocess.TimeoutExpired as error:
            sentence = f"{self.kind} {words[0]} did not answer within {seconds:.0f} s"
            raise UnitError(sentence, f"try it by hand: {self.kind} info") from error

    def has(self, *images: str) -> bool:
        """Return whether all images are in the store. Raise UnitError if Docker's daemon does not answer."""
        done = self.run("image", "inspect", "--format", "{{.Id}}", *images)
        if done.returncode and "Docker daemon" in done.stderr:
            raise UnitError(f"{self.kind}: {last_line(done.stderr)}", self.hint(done.stderr))
        return done.returncode == 0

    def attach(self, container: str, output: int, errors: int) -> subprocess.Popen[bytes]:
        """Start a created container. The returned client copies its output until the container ends."""
        return self.begin("start", "--attach", container, output=output, errors=errors)

    def begin(self, *words: str, output: int, errors: int) -> subprocess.Popen[bytes]:
        """Start a client and return it without waiting for its end."""
        return subprocess.Popen(
            self.command(*words), env=self.env, cwd=_NOWHERE, stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors,
        )  # fmt: skip

    @contextlib.contextmanager
    def reading(self, *words: str) -> Iterator[Coming]:
        """Run the client and stream its stdout, without a limit on the total time.

        Raise UnitError when the client fails, or when no data arrives for 60 s.
        """
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                self.command(*words), env=self.env, cwd=_NOWHERE, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=said,
            ) as client,
        ):  # fmt: skip
            assert client.stdout
            try:
                yield Coming(client.stdout.fileno(), f"{self.kind} {words[0]}", f"{self.kind} info")
            except BaseException:
                client.kill()
                raise
            client.stdout.close()
            client.wait()
            said.seek(0)
            error = said.read().decode(errors="replace")
        if client.returncode:
            raise UnitError(f"{self.kind} {words[0]}: {last_line(error)}", self.hint(error))

    def hint(self, said: str) -> str:
        """Return a hint on how to solve a client's error, empty when none is known."""
        if "Cannot connect to the Docker daemon" in said or "docker.sock" in said:
            return "start Docker's daemon: systemctl start docker (and be in the group docker)"
        if "no space left on device" in said:
            return f"the disk is full: {self.kind} system df"
        return ""

    def give(self, *paths: Path) -> None:
        """Make the programs' user inside the owner of files or trees."""
        self._own(self.uid, paths)

    def take_back(self, *paths: Path) -> None:
        """Make the receiver's own user the owner of files or trees again."""
        self._own(0, paths)

    def _own(self, uid: int, paths: Sequence[Path]) -> None:
        command = ["chown", "-R", "-h", f"{uid}:{uid}", "--", *map(str, paths)]
        if self.rootless:
            self.ask("unshare", *command)
        elif os.geteuid() == 0:
            subprocess.run(command, check=True)


@dataclass(frozen=True)
class Coming:
    """The stream of a client's stdout."""

    _output: int
    _client: str
    _question: str

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end. Raise UnitError when none arrive for 60 s."""
        if not select.select([self._output], [], [], _SILENCE)[0]:
            sentence = f"{self._client} brought nothing more for {_SILENCE:.0f} s"
            raise UnitError(sentence, f"try it by hand: {self._question}")
        return os.read(self._output, size)

    def rest(self) -> bytes:
        return b"".join(iter(lambda: self.read(_BLOCK), b""))


def last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def find(choice: str = "auto", logins: Path | None = None, flags: tuple[str, ...] = ()) -> Runtime:
    """Return the runtime that `choice` names, or for `auto` the first that answers: Podman, then Docker.

    `flags` become its `registry_flags` if it is Podman.

    Raises:
        UnitError: There is none, or none answers.
    """
    names = ("podman", "docker") if choice == "auto" else (choice,)
    there = [name for name in names if shutil.which(name)]
    if not there:
        sentence = f"there is no {' and no '.join(names)} on this machine"
        raise UnitError(sentence, "apt-get install podman, or docker.io")
    failures = []
    for name in there:
        try:
            return _answering(name, logins, flags)
        except UnitError as error:
            failures.append(error)
    hints = [error.hint for error in failures if error.hint]
    raise UnitError("; ".join(error.message for error in failures), "".join(hints[:1]))


def _answering(kind: str, logins: Path | None, flags: tuple[str, ...]) -> Runtime:
    ordinary = os.geteuid() != 0
    rootless = ordinary and kind == "podman"
    uid = os.getuid() if ordinary and not rootless else APP_ID
    mine = flags if kind == "podman" else ()
    runtime = Runtime(kind, shutil.which(kind) or kind, rootless, uid, logins, mine)
    return replace(runtime, isolates=_isolates(runtime.kind, runtime.program))


@functools.cache
def _isolates(kind: str, program: str) -> bool:
    """Return whether the runtime isolates networks. Raise UnitError when it does not answer.

    Cached per process, because Podman needs 0.1 s and more to answer.
    """
    runtime = Runtime(kind, program, rootless=False, uid=APP_ID)
    if kind == "podman" and (backend := runtime.run("info", "--format", _BACKEND)).returncode == 0:
        return backend.stdout.strip() == "netavark"
    runtime.ask(*_ANY[kind])
    return kind == "docker"
