"""A node: a machine that units are placed on, as it was when it was added."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Login:
    """A node's ssh login. `host_key` is its public key as `TYPE BASE64`; no other one is accepted."""

    user: str
    host: str
    port: int
    host_key: str

    def __str__(self) -> str:
        where = self.host if self.port == 22 else f"{self.host}:{self.port}"
        return f"{self.user}@{where}"


@dataclass(frozen=True)
class Node:
    """A node. It offers `slots` and `memory` (bytes); it has `cores` and `arch` (Debian's name).

    Other nodes reach its slaves at `address`, on `interface`, in the network `subnet` (`10.1.0.0/24`).
    `runtime` is the program of its container runtime, of the `kind` `podman` or `docker`. A `drained` node
    gets no new runs.
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
