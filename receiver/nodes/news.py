"""How the nodes are, in etcd: for a dashboard and whoever else watches. The daemon's own look at them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping

from receiver.ledger.publisher import Publisher
from receiver.nodes import states as node_states
from receiver.nodes.book import NodeBook
from receiver.nodes.states import Answers, Uses
from units.nodes.link import Links


class NodeNews:
    """One a daemon. Nodes are asked every `every` seconds, and when there are others than before.

    `links` are its own: a node that is late with this answer may be busy with a run's, on other lines.
    """

    def __init__(self, book: NodeBook, links: Links, uses: Uses, publisher: Publisher, every: float) -> None:
        self._book = book
        self._links = links
        self._uses = uses
        self._publisher = publisher
        self._every = every

    def begin(self) -> None:
        """From now on as long as this process lives."""
        threading.Thread(target=self._keep, name="news of nodes", daemon=True).start()

    def _keep(self) -> None:
        told, next_look = self._publisher.nodes(), 0.0
        answers: Answers = {}
        while True:
            names = {node.name for node in self._book.all()}
            if time.monotonic() >= next_look or names != answers.keys():
                answers = node_states.ask(self._book, self._links)
                next_look = time.monotonic() + self._every
            told = self._tell(told, answers)
            self._publisher.changed.wait(max(0.0, next_look - time.monotonic()))
            self._publisher.changed.clear()

    def _tell(self, told: Mapping[str, str], answers: Answers) -> dict[str, str]:
        """Publish what is another than was told."""
        states = node_states.states(self._book, answers, self._uses())
        new = {state.node.name: json.dumps(state.as_json()) for state in states}
        for name, value in new.items():
            if told.get(name) != value:
                self._publisher.node(name, value)
        for name in told.keys() - new.keys():
            self._publisher.node_gone(name)
        return new
