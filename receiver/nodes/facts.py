"""What a machine tells of itself when it is asked to be a node: text comes in, facts go out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

from receiver.errors import ReceiverError

_SCRIPT = Path(__file__).with_name("facts.sh")
# What the kernel calls them, where Debian has another name.
_ARCHITECTURES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "ppc64le": "ppc64el", "i686": "i386",
}  # fmt: skip
_KILO = 1024


@dataclass(frozen=True)
class Part:
    """What nodes have to reach at the receiver: etcd or the registry; `ca` is a PEM text, or empty."""

    name: str
    url: str
    ca: str = ""


@dataclass(frozen=True)
class FoundRuntime:
    """A container runtime that works; `free` are the bytes that are left for its images in `folder`."""

    kind: str
    program: str
    version: str
    folder: str
    free: int


@dataclass(frozen=True)
class Facts:
    """`root` is how the login becomes root (`root`, `sudo`, "" for not at all), `refused` why it cannot.

    `runtimes` work, podman first; `broken` are the others' last words by name. `came_in_at` is the
    address that ssh has led to, `outward` the one that the way back to the receiver begins at.
    `reached` has curl's exit code and words by part.
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
    """What a node's shell is to run. It has no secret in it."""
    parts = tuple(parts)
    lines = "".join(f"{part.name} {part.url}\n" for part in parts)
    authorities = "\n".join(part.ca for part in parts if part.ca)
    return f"parts={shlex.quote(lines)}\nauthorities={shlex.quote(authorities)}\n{_SCRIPT.read_text()}"


def debian_arch(machine: str) -> str:
    """Debian's name for what the kernel calls `machine`."""
    return _ARCHITECTURES.get(machine, machine)


def has_clock(said: bytes) -> bool:
    """Whether the machine has told its time by now."""
    return re.search(rb"^clock=.*\n", said, re.MULTILINE) is not None


def parse(text: str) -> Facts:
    """The facts in what `script` wrote; ReceiverError when that is not all of it."""
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
    # df's last line: filesystem, blocks, used, available, capacity, where it is mounted
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
