"""Builds an image from a Dockerfile and its context. A cancelled build leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver.text.output import BUILD, Activity, Limits, Say, heard
from units.capsule import process_tree
from units.errors import UnitError
from units.oci import build as building
from units.oci.build import ImageBuild
from units.oci.runtime import Runtime

# Limits for the builder's own cleanup, in seconds and in tries; and the seconds between two polls.
_PATIENCE = 10.0
_REMOVALS = 300
_BETWEEN_LOOKS = 0.1
# Docker's lines that announce a step, and the container in which it runs.
_STEP = re.compile(r"Step \d+/\d+ : RUN ")
_RUNNING = re.compile(r"^ ---> Running in ([0-9a-f]{12})$", re.MULTILINE)


@dataclass(frozen=True)
class Making:
    """The parameters of an image's build. `memory` is in bytes, None for no limit.

    `say` gets the heartbeats, which name the `activity`.
    """

    runtime: Runtime
    labels: Mapping[str, str]
    memory: int | None
    limits: Limits
    say: Say
    activity: Activity = BUILD


def make(making: Making, build: ImageBuild, hear: Say, *options: str) -> int:
    """Run the builder and return its exit code; its lines go to `hear`, the image's id to `id_file`.

    ReceiverError on timeout or cancellation: the running step is killed, and the builder ends with it.
    """
    runtime = making.runtime
    limit = ("--memory", f"{making.memory}b") if making.memory else ()
    labels = (word for name, value in making.labels.items() for word in ("--label", f"{name}={value}"))
    program, verb, *words = building.command(runtime, build)
    argv = [program, verb, "--force-rm", *limit, *labels, *options, *words]
    containers: list[str] = []
    line = ""
    with _started(argv, building.environment(runtime)) as (client, output):
        try:
            for line in heard(output, making.limits, making.say, making.activity):
                containers += _RUNNING.findall(line)
                if not building.is_chatter(line):
                    hear(line)
        except BaseException:
            if _STEP.match(line):
                containers += _RUNNING.findall(_next(output))
            end(client.pid, runtime.kind, output)
            if containers:
                _remove(runtime, containers[-1])
            raise
        return client.wait()


@contextmanager
def _started(argv: list[str], env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the client; yield it and the read end of its output pipe, which the client inherits as well.

    If the receiver is killed, the client's next line therefore does not raise SIGPIPE, after which Podman
    could not clean up. The client is still running when the next receiver looks for it.
    """
    output, its = os.pipe()
    try:
        client = subprocess.Popen(
            argv, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=its, stderr=its, pass_fds=[output],
            start_new_session=True,
        )  # fmt: skip
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(its)
    with client:
        try:
            yield client, output
        finally:
            os.close(output)


def _next(output: int) -> str:
    """Return the client's next output, up to a line's end.

    Docker would leave a container that it is creating if the client ended before this line.
    """
    said, deadline = b"", time.monotonic() + _PATIENCE
    while b"\n" not in said and select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(output, 65536)
        if not data:
            break
        said += data
    return said.decode(errors="replace")


def end(pid: int, kind: str, output: int | None = None) -> None:
    """End a builder's client `pid` so that it can clean up. `output` is its pipe's read end, if we have it.

    Docker's engine cancels the build once its client has ended, so the client is terminated. Podman is the
    builder itself and would leave the step running and its file systems mounted: only the step is killed, and
    Podman cleans up after the failure. After a timeout everything is killed.
    """
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if kind == "docker":
            _kill(pid, signal.SIGTERM)
        watched = [watch] if output is None else [watch, output]
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for process in _steps_of(pid):
                _kill(process, signal.SIGKILL)
            ready = select.select(watched, [], [], _BETWEEN_LOOKS)[0]
            if watch in ready:
                break
            # The pipe is drained, so that the builder does not block on it.
            if ready and output is not None and not os.read(output, 65536):
                watched = [watch]
        else:
            for process in (*process_tree.of(pid), pid):
                _kill(process, signal.SIGKILL)
    finally:
        os.close(watch)


def _remove(runtime: Runtime, step: str) -> None:
    """Remove a step's container. Wait while the engine is removing it by itself."""
    with contextlib.suppress(UnitError):
        for _ in range(_REMOVALS):
            if "already in progress" not in runtime.run("rm", "--force", step).stderr:
                return
            time.sleep(_BETWEEN_LOOKS)


def _steps_of(pid: int) -> list[int]:
    """Return the descendants of `pid` that are in a container: in a nested PID namespace."""
    ours = _depth(os.getpid())
    return [process for process in process_tree.of(pid) if _depth(process) > ours]


def _depth(pid: int) -> int:
    """Return in how many nested PID namespaces a process has an id; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) - 1
    return 0


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def orphans(runtime: Runtime, label: str) -> list[int]:
    """Return the pids of clients that build with this label, `name=value`, whoever started them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[:2] == [os.fsencode(runtime.program), b"build"] and label.encode() in words:
                found.append(int(folder.name))
    return found
