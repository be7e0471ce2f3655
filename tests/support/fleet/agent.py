"""Fleet's part on a node of the lab: it has the node's systemd do what was decided for it."""

from __future__ import annotations

import platform
import subprocess
import threading
import time

from support.fleet.cluster import Cluster, Machine, Order
from support.fleet.states import Known
from support.nodes.node import Node

_STATES = "--property=Id,LoadState,ActiveState,SubState"
# Of what it has not looked at yet.
_UNKNOWN = ("not-found", "inactive", "dead")
# As fleet does: units in a folder of its own, which systemd is told of by links. What is unloaded is told to
# stop and forgotten in the same moment: systemd then knows nothing of what was to be done after its end.
_CARRY_OUT = """\
mkdir -p /run/fleet/units
while [ $# -gt 0 ]; do
    file=/run/fleet/units/$2 link=/run/systemd/system/$2
    case $1 in
    load) printf %s "$3" >"$file" && ln -sf "$file" "$link" ;;
    start) systemctl start --no-block "$2" ;;
    stop) systemctl stop "$2" ;;
    unload) systemctl stop --no-block "$2"; rm -f "$file" "$link" ;;
    esac
    shift 3
done
systemctl daemon-reload
"""


class NodeAgent:
    """Answers from memory, as fleetd does: what is to be done on its node is done meanwhile."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._orders: list[Order] = []
        self._asked: list[str] = []
        self._known: Known = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name=f"fleet on {node.name}", daemon=True).start()

    def carry_out(self, orders: list[Order]) -> None:
        with self._changed:
            self._orders += orders
            self._changed.notify()

    def states(self, names: list[str]) -> Known:
        with self._changed:
            leaving = [name for verb, name, _ in self._orders if verb == "unload"]
            self._asked = names
            self._changed.notify()
            return {name: self._known.get(name, _UNKNOWN) for name in (*names, *leaving)}

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._orders or self._asked)
                orders, asked = list(self._orders), self._asked
                self._asked = []
            try:
                if orders:
                    words = [word for order in orders for word in order]
                    self._node.console("sh", "-c", _CARRY_OUT, "agent", *words)
                seen = self._look(asked) if asked else {}
            except (AssertionError, subprocess.TimeoutExpired):
                # A node that does not answer is told the same again.
                time.sleep(0.5)
                continue
            with self._changed:
                del self._orders[: len(orders)]
                self._known |= seen
                for verb, name, _ in orders:
                    if verb == "unload":
                        self._known.pop(name, None)

    def _look(self, names: list[str]) -> Known:
        said = self._node.console("systemctl", "show", _STATES, *names)
        blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in said.split("\n\n"))
        return {one["Id"]: (one["LoadState"], one["ActiveState"], one["SubState"]) for one in blocks}


def cluster(nodes: tuple[Node, ...]) -> Cluster:
    """One whose machines are these nodes."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    machines = {f"id-{node.name}": Machine({"arch": arch}, node.address, NodeAgent(node)) for node in nodes}
    return Cluster(machines, page_size=100)
