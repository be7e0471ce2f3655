"""A container of a stack's build image: steps are run in it one after another, for as long as it is open."""

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
    """What a build's container is made of.

    `folders` are this machine's, `visible` is there too under its own names and read-only. `env` may be
    read by anybody who lists processes, `secrets` not. `memory` is in bytes, None for all there is.
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
    """The argv: a shell that reads commands from its standard input, and ends with it."""
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
    """Whoever owns the tree outside: root inside, but for an ordinary user of Docker's."""
    ordinary = os.geteuid() != 0 and not runtime.rootless
    return f"{os.getuid()}:{os.getgid()}" if ordinary else "0:0"


@contextmanager
def opened(runtime: Runtime, order: Order, limits: Limits, say: Say) -> Iterator[Shell]:
    """The container's shell. However it is left, the container is gone then, and all that ran in it."""
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
                # What steps unpacked may belong to users of the container, whom only Podman can call back.
                runtime.take_back(order.folders.tree.parent)


def _end(runtime: Runtime, client: subprocess.Popen[bytes], name: str) -> None:
    """Remove the container; its client ends with it.

    The client is not killed first: an engine goes on making what one asked for that is no longer there.
    """
    assert client.stdout is not None
    client.stdout.close()  # What it has to say must not hold it up.
    deadline = time.monotonic() + _PATIENCE
    while client.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(UnitError):
            runtime.run("rm", "--force", name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(_BETWEEN_REMOVALS)
    client.kill()
    client.wait()


def _leave(client: subprocess.Popen[bytes]) -> None:
    """The shell ends at its input's end, and the container with it."""
    assert client.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        client.stdin.close()
    try:
        client.wait(_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise ReceiverError("the build's container did not end", "see: nap doctor") from error


class Shell:
    """One command at a time. After each it prints a line that none of them can know of."""

    def __init__(self, client: subprocess.Popen[bytes], limits: Limits, say: Say) -> None:
        assert client.stdout is not None
        self._client = client
        self._mark = os.urandom(16).hex()
        self._lines = heard(client.stdout.fileno(), limits, say)
        self._last = ""
        # What the runtime itself says until then is none of the steps'.
        self._tell(f"exec 2>&1; echo {self._mark} 0")
        self._until_mark(lambda _: None)

    def run(self, argv: tuple[str, ...], hear: Say) -> int:
        """The exit code of `argv`, whose lines `hear` gets. ReceiverError when the container is lost."""
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
            # Its output says what happened.
            self._client.stdin.write(f"{text}\n".encode())
            self._client.stdin.flush()

    def _lost(self) -> ReceiverError:
        if self._client.wait() == KILLED:
            return ReceiverError("the build's container was killed", NO_MEMORY)
        return ReceiverError(f"the build's container ended: {last_line(self._last)}", "see: nap doctor")
