"""Check whether a machine can be a node: facts and wishes come in, findings and a Node go out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface

from receiver.findings import Finding
from receiver.nodes.facts import Facts, Part
from receiver.text.format import counted
from receiver.text.format import size as disk_size
from units.nodes.node import Login, Node
from units.placement.explain import size

# Seconds. TLS and the TTLs of keys in etcd do not tolerate more.
MOST_SECONDS_APART = 2.0
LEAST_FREE_BYTES = 1_000_000_000
# Bytes. A tenth of the memory, and no less than this, is kept for the machine itself.
_LEAST_KEPT = 1 << 30
# systemctl(1), is-system-running: a failed unit, or one that is not up yet, can be unrelated to nap.
_ALIVE = ("running", "degraded", "starting")
# curl(1): the TLS connection ended in an alert, which is how a server rejects a missing client certificate.
_TLS_ENDED = (35, 56)


@dataclass(frozen=True)
class WantedNode:
    """The wanted name, slots, memory (bytes) and address. 0 and "" mean: as the machine has it."""

    name: str = ""
    slots: int = 0
    memory: int = 0
    address: str = ""


@dataclass(frozen=True)
class Situation:
    """The input of all checks. `apart` is the clock offset in seconds, `arch` the receiver's architecture."""

    facts: Facts
    wanted: WantedNode
    apart: float
    arch: str
    parts: tuple[Part, ...] = ()

    @property
    def place(self) -> tuple[str, IPv4Interface] | None:
        """The interface and address where other nodes reach the machine; None when there is no usable one."""
        known = {str(address.ip): (interface, address) for interface, address in self.facts.addresses}
        if self.wanted.address:
            return known.get(self.wanted.address)
        tried = (known.get(address) for address in (self.facts.came_in_at, self.facts.outward))
        return next((found for found in tried if found and not found[1].is_loopback), None)

    @property
    def slots(self) -> int:
        return self.wanted.slots or self.facts.cores

    @property
    def memory(self) -> int:
        has = self.facts.memory
        return self.wanted.memory or max(0, has - max(_LEAST_KEPT, has // 10))


def examine(situation: Situation) -> list[Finding]:
    """Return the findings of all checks. Checks that need root are left out when the login cannot get it."""
    found = [check(situation) for check in _CHECKS]
    return [finding for finding in found if finding] + [
        _reach(situation.facts, part) for part in situation.parts
    ]


def differs(facts: Facts, node: Node, machine: str) -> list[Finding]:
    """Return a finding for each property that changed since the node was added."""
    hint = f"nap nodes remove {node.name} --force, and add it again"
    found = []
    if facts.machine != machine:
        found.append(Finding("machine", False, "another one than was added by this name", hint))
    if facts.runtimes and node.runtime not in [runtime.program for runtime in facts.runtimes]:
        found.append(
            Finding("runtime", False, f"{node.runtime}, which it was added with, does not work", hint)
        )
    return found


def make(situation: Situation, login: Login) -> Node:
    """Return the node. The situation must have passed all checks: none of its findings is False."""
    facts, wanted, place = situation.facts, situation.wanted, situation.place
    assert place
    interface, address = place
    runtime = facts.runtimes[0]
    return Node(
        name=wanted.name or facts.hostname,
        login=login,
        address=str(address.ip),
        interface=interface,
        subnet=str(address.network),
        slots=situation.slots,
        memory=situation.memory,
        cores=facts.cores,
        arch=facts.arch,
        runtime=runtime.program,
        kind=runtime.kind,
        rdma=bool(facts.rdma),
    )


def _root(situation: Situation) -> Finding:
    facts = situation.facts
    if facts.root == "root":
        return Finding("root", True, "it is root that logs in")
    if facts.root == "sudo":
        return Finding("root", True, "by sudo, without a password")
    hint = "log in as root, or have a line `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d"
    return Finding("root", False, facts.refused or "not to be had", hint)


def _systemd(situation: Situation) -> Finding:
    facts = situation.facts
    if not facts.systemd:
        hint = "units of nodes are systemd's: this machine was booted by something else"
        return Finding("systemd", False, f"it does not run ({facts.os or 'no known system'})", hint)
    found = f"{facts.systemd}, {facts.state or 'does not answer'} ({facts.os})"
    if facts.state not in _ALIVE:
        return Finding("systemd", False, found, "see: systemctl status")
    if facts.state != "running":
        return Finding("systemd", None, found, "units of its own are not up: systemctl --failed")
    return Finding("systemd", True, found)


def _runtime(situation: Situation) -> Finding | None:
    facts = situation.facts
    if not facts.root:
        return None
    broken = "; ".join(f"{name} does not work: {why}" for name, why in facts.broken.items())
    if not facts.runtimes:
        hint = "try it by hand: sudo podman info" if broken else "apt-get install podman, or docker.io"
        return Finding("runtime", False, broken or "neither podman nor docker", hint)
    runtime = facts.runtimes[0]
    found = f"{runtime.kind} {runtime.version} ({runtime.program})"
    # Beside a working Podman a broken docker is ignored: it can be Podman's emulation of Docker.
    return Finding("runtime", True if runtime.kind == "podman" or not broken else None, found, broken)


def _disk(situation: Situation) -> Finding | None:
    if not situation.facts.runtimes:
        return None
    runtime = situation.facts.runtimes[0]
    found = f"{disk_size(runtime.free)} free for images in {runtime.folder}"
    if runtime.free >= LEAST_FREE_BYTES:
        return Finding("disk", True, found)
    return Finding("disk", None, found, "images may not fit")


def _tools(situation: Situation) -> Finding:
    facts = situation.facts
    if facts.lacks:
        packages = " ".join("coreutils" if tool == "timeout" else tool for tool in facts.lacks)
        return Finding("tools", False, f"no {', no '.join(facts.lacks)}", f"apt-get install {packages}")
    return Finding("tools", True, f"curl {facts.curl}, tar")


def _services(situation: Situation) -> Finding | None:
    if situation.facts.iptables:
        return None
    return Finding("services", None, "no iptables, which leads their ports", "apt-get install iptables")


def _clock(situation: Situation) -> Finding:
    apart = abs(situation.apart)
    if apart <= MOST_SECONDS_APART:
        return Finding("clock", True, f"{apart:.1f} s from the receiver's")
    sense = "ahead of" if situation.apart > 0 else "behind"
    hint = "TLS and keys in etcd need the same time: apt-get install chrony, there and here"
    return Finding("clock", False, f"{apart:.0f} s {sense} the receiver's", hint)


def _processor(situation: Situation) -> Finding:
    theirs, ours = situation.facts.arch, situation.arch
    if theirs == ours:
        return Finding("processor", True, f"{theirs}, as the receiver's")
    hint = "only images that were built for it are placed there"
    return Finding("processor", None, f"{theirs or 'unknown'}; the receiver builds for {ours}", hint)


def _slots(situation: Situation) -> Finding:
    cores, slots = situation.facts.cores, situation.slots
    found = f"{counted(slots, 'slot')} on {counted(cores, 'core')}"
    if not slots:
        return Finding("slots", False, "its cores cannot be told", "say it: --slots")
    if cores and slots > cores:
        return Finding("slots", None, found, "ranks will share cores")
    return Finding("slots", True, found)


def _memory(situation: Situation) -> Finding:
    has, offers = situation.facts.memory, situation.memory
    found = f"{size(offers)} of {size(has)}"
    if not offers:
        return Finding("memory", False, f"{size(has)}, all of which it needs itself", "say it: --memory")
    if offers > has:
        return Finding("memory", None, found, "slaves that take it all will be killed")
    return Finding("memory", True, found)


def _address(situation: Situation) -> Finding:
    if situation.place:
        interface, address = situation.place
        return Finding("address", True, f"{address.ip} on {interface}, in {address.network}")
    known = ", ".join(str(it.ip) for _, it in situation.facts.addresses if not it.is_loopback)
    hint = f"nap nodes add --address one of {known}" if known else "other nodes need an IPv4 address"
    if situation.wanted.address:
        return Finding("address", False, f"{situation.wanted.address} is not one of its own", hint)
    return Finding("address", False, "none that other nodes could reach", hint)


def _rdma(situation: Situation) -> Finding:
    devices = situation.facts.rdma
    return Finding("RDMA", True, ", ".join(devices) if devices else "no devices: MPI talks TCP")


_CHECKS: Sequence[Callable[[Situation], Finding | None]] = (
    _root, _systemd, _runtime, _disk, _tools, _services, _clock, _processor, _slots, _memory, _address,
    _rdma,
)  # fmt: skip


def _reach(facts: Facts, part: Part) -> Finding:
    if not part.url:
        return Finding(part.name, None, "listens here alone so far", "checked by: nap up --engine systemd")
    code, words = facts.reached.get(part.name, (-1, "was not asked"))
    if code == 0 or (code in _TLS_ENDED and re.search("alert.*certificate", words)):
        return Finding(part.name, True, f"{part.url} is within reach")
    why = re.sub(r"^curl: \(\d+\) ", "", words)
    hint = "is it up (nap status), and its port open here for nodes?"
    return Finding(part.name, False, f"{part.url} is out of reach: {why}", hint)
