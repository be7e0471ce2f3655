"""The facts of a machine that is to become a node: the script that collects them, and its parser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

from receiver.errors import ReceiverError

_SCRIPT = Path(__file__).with_name("shell") / "facts.sh"
# The kernel's names of architectures, where Debian's differ.
_ARCHITECTURES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "ppc64le": "ppc64el", "i686": "i386",
}  # fmt: skip
_KILO = 1024


@dataclass(frozen=True)
class Part:
    """A service that nodes have to reach at the receiver: etcd or the registry. `ca` is PEM text or ""."""

    name: str
    url: str
    ca: str = ""


@dataclass(frozen=True)
class FoundRuntime:
    """A container runtime that works. `free` is the space in bytes for its images in `folder`."""

    kind: str
    program: str
    version: str
    folder: str
    free: int


@dataclass(frozen=True)
class Facts:
    """The facts of one machine.

    `clock` is its time in seconds since 1970, `memory` is in bytes. `root` is how the login becomes root
    (`root`, `sudo`, or "" for not at all), and `refused` is why it cannot. `runtimes` are the runtimes that
    work, podman first; `broken` has the error message of each of the others by name. `lacks` names missing
    tools. `came_in_at` is the machine's address that the ssh connection goes to, `outward` the source
    address of its route to the receiver. `reached` has curl's exit code and message for each part.
    """

    clock: float
    root: str
    refused: str
    hostname: str
    machine: str
    os: str
    arch: str
    cores: int
    memory: int
    curl: str
    iptables: str
    lacks: tuple[str, ...]
    systemd: str
    state: str
    runtimes: tuple[FoundRuntime, ...]
    broken: Mapping[str, str]
    came_in_at: str
    outward: str
    addresses: tuple[tuple[str, IPv4Interface], ...]
    rdma: tuple[str, ...]
    reached: Mapping[str, tuple[int, str]] = field(default_factory=dict)


def script(parts: Iterable[Part]) -> str:
    """Return the POSIX shell script that prints a machine's facts. It contains no secrets."""
    parts = tuple(parts)
    lines = "".join(f"{part.name} {part.url}\n" for part in parts)
    authorities = "\n".join(part.ca for part in parts if part.ca)
    return f"parts={shlex.quote(lines)}\nauthorities={shlex.quote(authorities)}\n{_SCRIPT.read_text()}"


def debian_arch(machine: str) -> str:
    """Return Debian's name of the architecture that the kernel calls `machine`."""
    return _ARCHITECTURES.get(machine, machine)


def has_clock(said: bytes) -> bool:
    """Return whether the output so far contains the machine's time."""
    return re.search(rb"^clock=.*\n", said, re.MULTILINE) is not None


def parse(text: str) -> Facts:
    """Return the facts in the output of `script`. Raise ReceiverError when it is incomplete or malformed."""
    told: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*?) *$", text, re.MULTILINE):
        told.setdefault(key, []).append(value)
    if "end" not in told:
        last = (text.strip().splitlines() or ["nothing"])[-1]
        raise ReceiverError(f"its shell did not answer the questions: {last}", "is it a Linux with sh?")
    try:
        return _facts(told)
    except ValueError as error:
        raise ReceiverError(f"its shell gave an odd answer: {error}", "is it a Linux with sh?") from error


def _facts(told: Mapping[str, list[str]]) -> Facts:
    one = {key: values[0] for key, values in told.items()}
    return Facts(
        clock=float(_number(one.get("clock", ""), r"\d+(\.\d+)?")),
        root=one.get("root", ""),
        refused=one.get("refused", ""),
        hostname=one.get("hostname", "").partition(".")[0].lower(),
        machine=one.get("machine", ""),
        os=one.get("os", ""),
        arch=debian_arch(one.get("arch", "")),
        cores=int(_number(one.get("cores", ""))),
        memory=int(_number(one.get("memory", ""))) * _KILO,
        curl=_word(one.get("curl", ""), 1),
        iptables=one.get("iptables", ""),
        lacks=tuple(told.get("lacks", ())),
        systemd=_word(one.get("systemd", ""), 1),
        state=one.get("state", ""),
        runtimes=_runtimes(told.get("runtime", ()), told.get("disk", ())),
        broken=dict(_split(value) for value in told.get("broken", ())),
        came_in_at=_word(one.get("connection", ""), 2),
        outward=_after(one.get("route", ""), "src"),
        addresses=tuple(_address(value) for value in told.get("address", ())),
        rdma=tuple(one.get("rdma", "").split()),
        reached={name: _reached(rest) for name, rest in map(_split, told.get("reached", ()))},
    )


def _runtimes(lines: Iterable[str], disks: Iterable[str]) -> tuple[FoundRuntime, ...]:
    # df's last line: filesystem, blocks, used, available, capacity, mount point
    free = {kind: int(_number(_word(rest, 3))) * _KILO for kind, rest in map(_split, disks)}
    words = (line.split(" ", 3) for line in lines)
    return tuple(
        FoundRuntime(kind, program, version, folder, free.get(kind, 0))
        for kind, program, version, folder in words
    )


def _address(value: str) -> tuple[str, IPv4Interface]:
    interface, address = _split(value)
    return interface, IPv4Interface(address)


def _reached(value: str) -> tuple[int, str]:
    code, words = _split(value)
    return int(code), words


def _split(value: str) -> tuple[str, str]:
    first, _, rest = value.partition(" ")
    return first, rest


def _word(value: str, index: int) -> str:
    words = value.split()
    return words[index] if index < len(words) else ""


def _after(value: str, name: str) -> str:
    words = value.split()
    return words[words.index(name) + 1] if name in words[:-1] else ""


def _number(value: str, form: str = r"\d+") -> str:
    found = re.match(form, value)
    return found.group() if found else "0"
