"""The states of nodes in etcd, polled by the daemon for dashboards and other watchers."""

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
    """The publisher of node states, one per daemon.

    Nodes are asked every `every` seconds, and when the set of nodes changes. `links` is not shared with runs:
    a node that answers late here can be busy with a run's request, which has to keep its connection.
    """

    def __init__(self, book: NodeBook, links: Links, uses: Uses, publisher: Publisher, every: float) -> None:
        self._book = book
        self._links = links
        self._uses = uses
        self._publisher = publisher
        self._every = every

    def begin(self) -> None:
        """Publish in a background thread until this process ends."""
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
        """Publish the states that differ from `told`, the published ones. Return the new states as JSON."""
        states = node_states.states(self._book, answers, self._uses())
        new = {state.node.name: json.dumps(state.as_json()) for state in states}
        for name, value in new.items():
            if told.get(name) != value:
                self._publisher.node(name, value)
        for name in told.keys() - new.keys():
            self._publisher.node_gone(name)
        return new
