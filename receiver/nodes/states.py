"""The current states of nodes: all are asked in parallel, and a node that does not answer is away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.nodes.book import NodeBook
from units.errors import UnitError
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.placement.capacity import Use

Uses = Callable[[], Iterable[Use]]
# Seconds for each step of connecting, and for the answer.
CONNECT_WITHIN = 4
_ANSWER_WITHIN = 4.0
_LOAD = Path(__file__).with_name("shell") / "load.sh"
_KILO = 1024


@dataclass(frozen=True)
class Load:
    """A node's answer: its one-minute load, its free memory in bytes, and systemd's name of its state."""

    load: float
    free: int
    system: str


Answers = Mapping[str, "Load | UnitError"]


@dataclass(frozen=True)
class NodeState:
    """A node with its used `slots` and `memory` (bytes), and when it was last `seen`.

    `away` is why it did not answer, "" when it did.
    """

    node: Node
    slots: int
    memory: int
    load: Load | None
    away: str
    seen: str | None

    @property
    def state(self) -> str:
        if self.away:
            return "away"
        return "drained" if self.node.drained else "open"

    def as_json(self) -> dict[str, Any]:
        node = self.node
        return {
            "name": node.name,
            "login": str(node.login),
            "state": self.state,
            "drained": node.drained,
            "away": self.away,
            "slots": {"all": node.slots, "used": self.slots, "free": max(0, node.slots - self.slots)},
            "memory": {"all": node.memory, "used": self.memory, "free": max(0, node.memory - self.memory)},
            "load": self.load and self.load.load,
            "memory_available": self.load and self.load.free,
            "system": self.load and self.load.system,
            "cores": node.cores,
            "arch": node.arch,
            "runtime": node.kind,
            "rdma": node.rdma,
            "address": node.address,
            "interface": node.interface,
            "subnet": node.subnet,
            "seen": self.seen,
        }


def look(book: NodeBook, links: Links, uses: Uses = tuple) -> tuple[NodeState, ...]:
    """Ask every node in the book, and return their states."""
    answers = ask(book, links)
    return states(book, answers, uses())


def ask(book: NodeBook, links: Links) -> Answers:
    """Return each node's answer or error by name. Nodes that answer are marked as seen."""
    answers = links.each(book.all(), _load)
    book.mark_seen(name for name, answer in answers.items() if isinstance(answer, Load))
    return answers


def states(book: NodeBook, answers: Answers, uses: Iterable[Use]) -> tuple[NodeState, ...]:
    """Return the states of the nodes that were asked and are still in the book."""
    taken = tuple(uses)
    nodes = [node for node in book.all() if node.name in answers]
    return tuple(_state(node, answers[node.name], taken, book.seen(node.name)) for node in nodes)


def _state(node: Node, answer: Load | UnitError, uses: Iterable[Use], seen: str | None) -> NodeState:
    needs = [use.need for use in uses if use.node == node.name]
    slots, memory = sum(need.slots for need in needs), sum(need.memory for need in needs)
    if isinstance(answer, UnitError):
        return NodeState(node, slots, memory, None, answer.message, seen)
    return NodeState(node, slots, memory, answer, "", seen)


def _load(node: Node, link: Link) -> Load:
    done = link.run(("sh", "-s"), _LOAD.read_bytes(), _ANSWER_WITHIN)
    return parse(done.out.decode(errors="replace"), node.name)


def parse(text: str, name: str) -> Load:
    """Return the load in the last line of a node's output. Raise UnitError when it has another form."""
    words = (text.strip().splitlines() or [""])[-1].split()
    try:
        load, free, *system = words
        return Load(float(load), int(free) * _KILO, " ".join(system) or "unknown")
    except ValueError as error:
        raise UnitError(f"{name} did not say how it is: {' '.join(words) or 'nothing'}") from error
