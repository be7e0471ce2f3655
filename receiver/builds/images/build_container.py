"""A container of a stack's build image, in which steps run one after another until it is closed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buildpacks.build import Folders
from receiver.errors import ReceiverError
from receiver.text.output import Limits, Say, heard
from units.errors import UnitError
from units.oci.runtime import Runtime, last_line

INSIDE = Folders(Path("/app"), Path("/cache"), Path("/env"))
PYTHON = "python3"
KILLED = 137
NO_MEMORY = (
    "It was killed, most likely for want of memory: containers.build_memory in the settings is its limit."
)
_PATIENCE = 30.0
_BETWEEN_REMOVALS = 0.2


@dataclass(frozen=True)
class Order:
    """The parameters of a build's container.

    `folders` are paths on this machine, mounted at `INSIDE`. `visible` paths are mounted read-only under
    their own names. The values of `env` appear in the argv, so any user can read them; those of `secrets`
    do not. `memory` is in bytes, None for no limit.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    folders: Folders
    visible: tuple[Path, ...]
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    network: bool
    pids: int
    memory: int | None


def command(runtime: Runtime, order: Order) -> list[str]:
    """Return the argv of a shell that reads commands from its standard input until end of file."""
    options = ["--rm", "--interactive", "--name", order.name]
    for name, value in order.labels.items():
        options += ["--label", f"{name}={value}"]
    options += ["--user", _user(runtime), "--workdir", str(INSIDE.tree), "--entrypoint", "sh"]
    options += ["--security-opt", "no-new-privileges", "--security-opt", "label=disable"]
    options += ["--pids-limit", str(order.pids), "--stop-signal", "SIGKILL", "--log-driver", "none"]
    options += ["--memory", f"{order.memory}b"] if order.memory else []
    options += [] if order.network else ["--network", "none"]
    for name, value in order.env.items():
        options += ["--env", f"{name}={value}"]
    for name in order.secrets:
        options += ["--env", name]
    places = zip(vars(order.folders).values(), vars(INSIDE).values(), strict=True)
    for outside, inside in places:
        options += ["--volume", f"{outside}:{inside}"]
    for path in order.visible:
        options += ["--volume", f"{path}:{path}:ro"]
    return runtime.command("run", *options, order.image)


def _user(runtime: Runtime) -> str:
    """Return the user inside that owns the tree outside.

    That is root for root and for rootless Podman, and the receiver's own ids for an ordinary user of Docker.
    """
    ordinary = os.geteuid() != 0 and not runtime.rootless
    return f"{os.getuid()}:{os.getgid()}" if ordinary else "0:0"


@contextmanager
def opened(runtime: Runtime, order: Order, limits: Limits, say: Say) -> Iterator[Shell]:
    """Open the container and yield its shell.

    When the context ends, also by an exception, the container and all its processes have ended.
    """
    with subprocess.Popen(
        command(runtime, order), env={**runtime.env, **order.secrets},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as client:  # fmt: skip
        try:
            yield Shell(client, limits, say)
            _leave(client)
        except BaseException:
            _end(runtime, client, order.name)
            raise
        finally:
            if runtime.rootless:
                # Steps can unpack files as subordinate user ids. Only Podman can change their owner back.
                runtime.take_back(order.folders.tree.parent)


def _end(runtime: Runtime, client: subprocess.Popen[bytes], name: str) -> None:
    """Remove the container; its client ends with it.

    The client is not killed first: the engine would still create the container for a client that has ended,
    and the removal could come before that. So removal is repeated until the client ends.
    """
    assert client.stdout is not None
    client.stdout.close()  # Otherwise the client could block on a full pipe.
    deadline = time.monotonic() + _PATIENCE
    while client.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(UnitError):
            runtime.run("rm", "--force", name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(_BETWEEN_REMOVALS)
    client.kill()
    client.wait()


def _leave(client: subprocess.Popen[bytes]) -> None:
    """End the shell, and the container with it, by closing its input. ReceiverError after a timeout."""
    assert client.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        client.stdin.close()
    try:
        client.wait(_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise ReceiverError("the build's container did not end", "see: nap doctor") from error


class Shell:
    """Runs one command at a time. A random mark, unknown to the commands, ends the output of each."""

    def __init__(self, client: subprocess.Popen[bytes], limits: Limits, say: Say) -> None:
        assert client.stdout is not None
        self._client = client
        self._mark = os.urandom(16).hex()
        self._lines = heard(client.stdout.fileno(), limits, say)
        self._last = ""
        # The lines before this mark are the runtime's own: they are no step's output.
        self._tell(f"exec 2>&1; echo {self._mark} 0")
        self._until_mark(lambda _: None)

    def run(self, argv: tuple[str, ...], hear: Say) -> int:
        """Run `argv`, pass its lines to `hear`, return its exit code. ReceiverError if the container ends."""
        self._tell(f"(exec {shlex.join(argv)}) </dev/null; echo {self._mark} $?")
        return self._until_mark(hear)

    def _until_mark(self, hear: Say) -> int:
        for line in self._lines:
            if ended := re.search(rf"{self._mark} (\d+)$", line):
                if rest := line[: ended.start()]:
                    hear(rest)
                return int(ended[1])
            self._last = line
            hear(line)
        raise self._lost()

    def _tell(self, text: str) -> None:
        assert self._client.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            # The shell has ended: reading its output raises the error that says why.
            self._client.stdin.write(f"{text}\n".encode())
            self._client.stdin.flush()

    def _lost(self) -> ReceiverError:
        if self._client.wait() == KILLED:
            return ReceiverError("the build's container was killed", NO_MEMORY)
        return ReceiverError(f"the build's container ended: {last_line(self._last)}", "see: nap doctor")
