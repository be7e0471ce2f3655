"""A node as the receiver has it on record."""

from __future__ import annotations

from dataclasses import replace

from units.nodes.node import Login, Node

LOGIN = Login("ops", "10.0.0.1", 22, "ssh-ed25519 AAAA")


def node(name: str = "node1", **changes: object) -> Node:
    made = Node(
        name, LOGIN, "10.0.0.1", "eth0", "10.0.0.0/24", 4, 8 << 30, 4, "amd64", "/usr/bin/podman", "podman"
    )
    return replace(made, **changes)  # type: ignore[arg-type]
