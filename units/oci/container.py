"""One container as the runtime reports it: address, end, memory."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from units.errors import UnitError
from units.job import Pairs
from units.oci.runtime import Runtime, last_line

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Seen:
    """A container's state. `pid` is the machine's PID of its first process, 0 if not running; `ran`: ever."""

    pid: int
    ran: bool
    exit_code: int
    out_of_memory: bool
    error: str
    address: str
    forwarded: dict[int, int]


def look(runtime: Runtime, name: str) -> Seen | None:
    """Return the container as it is now, None when there is none of that name.

    Raise UnitError when the runtime's output cannot be parsed.
    """
    done = runtime.run("container", "inspect", name)
    if done.returncode:
        return None
    try:
        (found,) = json.loads(done.stdout)
    except ValueError as error:
        raise UnitError(f"{runtime.kind} says nothing sensible of the container {name}") from error
    state, network = found["State"], found["NetworkSettings"]
    addresses = [one["IPAddress"] for one in (network.get("Networks") or {}).values()]
    return Seen(
        pid=int(state["Pid"]) if state["Status"] in ("running", "paused") else 0,
        ran=not state["StartedAt"].startswith("0001-"),
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        address=next(filter(None, addresses), ""),
        forwarded=_forwarded(network.get("Ports") or {}),
    )


def image_says(runtime: Runtime, image: str) -> tuple[Pairs, str]:
    """Return an image's variables, which an ssh login does not get, and its user.

    Raise UnitError when the image is not in the runtime's store.
    """
    done = runtime.run("image", "inspect", "--format", "{{json .Config}}", image)
    if done.returncode:
        raise UnitError(f"the image {image} is not here", "push the commit again")
    config = json.loads(done.stdout)
    pairs = (text.partition("=") for text in config.get("Env") or ())
    return tuple((name, value) for name, _, value in pairs), config.get("User") or ""


def _forwarded(ports: dict[str, Any]) -> dict[int, int]:
    """Map container ports to host ports: `2222/tcp` forwarded from 127.0.0.1:40001 gives `{2222: 40001}`."""
    bound = ((name, places[0]["HostPort"]) for name, places in ports.items() if places)
    return {int(name.partition("/")[0]): int(port) for name, port in bound}


def last_words(runtime: Runtime, name: str) -> str:
    """Return the last line that a container wrote, empty when it wrote none."""
    done = runtime.run("logs", "--tail", "3", name)
    return last_line(done.stderr + done.stdout) if (done.stderr + done.stdout).strip() else ""


def remove(runtime: Runtime, *names: str) -> None:
    """End and delete containers, with their anonymous volumes."""
    if names:
        grace = ("--ignore", "--time", "0") if runtime.kind == "podman" else ()
        runtime.run("rm", "--force", "--volumes", *grace, *names)


def labelled(runtime: Runtime, **labels: str) -> list[str]:
    """Return the names of the containers, running or not, that have all of these labels of nap's."""
    filters = (word for key, value in labels.items() for word in ("--filter", f"label=nap.{key}={value}"))
    found = runtime.run("ps", "--all", "--format", "{{.Names}}", *filters)
    return found.stdout.split()


@dataclass(frozen=True)
class Memory:
    """The kernel's memory events of a container; `path` is its control group's file."""

    path: Path

    def kills(self) -> int:
        """Return how many processes the kernel killed because the container's memory limit was reached."""
        try:
            lines = [line.split() for line in self.path.read_text().splitlines()]
        except OSError:
            return 0
        return next((int(value) for key, value in lines if key == "oom_kill"), 0)


def memory_of(pid: int) -> Memory | None:
    """Return the memory events of a process's control group, None for PID 0 or an ended process."""
    if not pid:
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = {kinds: path for _, kinds, path in (line.split(":", 2) for line in lines)}
    if "memory" in groups:
        return Memory(_CGROUPS / "memory" / groups["memory"].lstrip("/") / "memory.oom_control")
    return Memory(_CGROUPS / groups.get("", "").lstrip("/") / "memory.events")


def open_process(pid: int) -> int | None:
    """Return a descriptor, readable once the process has ended; None for PID 0 or an ended process."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
