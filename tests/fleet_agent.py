"""Fleet's part on a node of the lab: it has the node's systemd do what was decided for it."""

from __future__ import annotations

import platform

from fleet_fake import Cluster, Known, Machine, Order
from node_lab import Node

_STATES = "--property=Id,LoadState,ActiveState,SubState"
# As fleet does: units in a folder of its own, which systemd is told of by links.
_CARRY_OUT = """\
mkdir -p /run/fleet/units
while [ $# -gt 0 ]; do
    file=/run/fleet/units/$2 link=/run/systemd/system/$2
    case $1 in
    load) printf %s "$3" >"$file" && ln -sf "$file" "$link" ;;
    start) systemctl start --no-block "$2" ;;
    stop) systemctl stop "$2" ;;
    unload) systemctl stop "$2"; rm -f "$file" "$link" ;;
    esac
    shift 3
done
systemctl daemon-reload
"""


class NodeAgent:
    def __init__(self, node: Node) -> None:
        self._node = node

    def carry_out(self, orders: list[Order]) -> None:
        words = [word for order in orders for word in order]
        self._node.console("sh", "-c", _CARRY_OUT, "agent", *words)

    def states(self, names: list[str]) -> Known:
        said = self._node.console("systemctl", "show", _STATES, *names)
        blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in said.split("\n\n"))
        return {one["Id"]: (one["LoadState"], one["ActiveState"], one["SubState"]) for one in blocks}


def cluster(nodes: tuple[Node, ...]) -> Cluster:
    """One whose machines are these nodes."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    machines = {f"id-{node.name}": Machine({"arch": arch}, node.address, NodeAgent(node)) for node in nodes}
    return Cluster(machines, page_size=100)
