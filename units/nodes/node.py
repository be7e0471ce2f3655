"""A machine that units are placed on, as it was when it was added."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Login:
    """How ssh gets to a node. `host_key` is its public key as `TYPE BASE64`: no other one is accepted."""

    user: str
    host: str
    port: int
    host_key: str

    def __str__(self) -> str:
        where = self.host if self.port == 22 else f"{self.host}:{self.port}"
        return f"{self.user}@{where}"


@dataclass(frozen=True)
class Node:
    """`slots` and `memory` (bytes) are what it offers; `cores`, `arch` (as Debian names it) what it has.

    `address` is where the other nodes find its slaves, on the interface `interface` of the network
    `subnet` (`10.1.0.0/24`). `runtime` is its container runtime's program, of the kind `podman` or `docker`.
    """

    name: str
    login: Login
    address: str
    interface: str
    subnet: str
    slots: int
    memory: int
    cores: int
    arch: str
    runtime: str
    kind: str
    rdma: bool = False
    drained: bool = False
