"""One container as the runtime knows it: where it is, how it ended, what it used up."""

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
    """`pid` is the machine's number of its first process, 0 when it does not run; `ran`: it ever did."""

    pid: int
    ran: bool
    exit_code: int
    out_of_memory: bool
    error: str
    address: str
    forwarded: dict[int, int]


def look(runtime: Runtime, name: str) -> Seen | None:
    """The container as it is now; None when there is none of that name."""
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
    """An image's variables, which an ssh login does not see, and its user; UnitError when it is not here."""
    done = runtime.run("image", "inspect", "--format", "{{json .Config}}", image)
    if done.returncode:
        raise UnitError(f"the image {image} is not here", "push the commit again")
    config = json.loads(done.stdout)
    pairs = (text.partition("=") for text in config.get("Env") or ())
    return tuple((name, value) for name, _, value in pairs), config.get("User") or ""


def _forwarded(ports: dict[str, Any]) -> dict[int, int]:
    """`2222/tcp` forwarded from 127.0.0.1:40001 is `{2222: 40001}`."""
    bound = ((name, places[0]["HostPort"]) for name, places in ports.items() if places)
    return {int(name.partition("/")[0]): int(port) for name, port in bound}


def last_words(runtime: Runtime, name: str) -> str:
    """The last line it wrote."""
    done = runtime.run("logs", "--tail", "3", name)
    return last_line(done.stderr + done.stdout) if (done.stderr + done.stdout).strip() else ""


def remove(runtime: Runtime, *names: str) -> None:
    """End and delete containers, with what is in them."""
    if names:
        grace = ("--ignore", "--time", "0") if runtime.kind == "podman" else ()
        runtime.run("rm", "--force", "--volumes", *grace, *names)


def labelled(runtime: Runtime, **labels: str) -> list[str]:
    """The names of the containers, running or not, that carry all of these of nap's labels."""
    filters = (word for key, value in labels.items() for word in ("--filter", f"label=nap.{key}={value}"))
    found = runtime.run("ps", "--all", "--format", "{{.Names}}", *filters)
    return found.stdout.split()


@dataclass(frozen=True)
class Memory:
    """The kernel's account of a container's memory; `path` is its control group's file."""

    path: Path

    def kills(self) -> int:
        """How many of its processes were ended because the memory it may use was used up."""
        try:
            lines = [line.split() for line in self.path.read_text().splitlines()]
        except OSError:
            return 0
        return next((int(value) for key, value in lines if key == "oom_kill"), 0)


def memory_of(pid: int) -> Memory | None:
    """Where the kernel counts what happens to the memory of a process's control group; 0 is no process."""
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
    """A descriptor that becomes readable when the process has ended; None when it has already (0)."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
