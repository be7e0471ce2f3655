"""Tell etcd how things stand, for whoever watches: never waited for, and lost without harm."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading

from receiver.ledger import record
from receiver.ledger.ledger import Release, Run
from registry.errors import RegistryError
from registry.etcd.store import Store
from registry.keys import Keys

_RUNS_KEPT = 20
_HELD = 10_000
_LAST = 2.0


class Publisher:
    """Writes in a thread of its own; what etcd does not take is said in the log and forgotten."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        # What runs have may be another than before, and which nodes there are.
        self.changed = threading.Event()
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(_HELD)
        self._thread = threading.Thread(target=self._write, name="publisher", daemon=True)
        self._thread.start()

    def run(self, run: Run) -> None:
        """The state of a run; those long before it are taken away."""
        self.changed.set()
        self._put(self._keys.run(run.app, run.number), json.dumps(record.as_json(run)))
        if run.has_ended and run.number > _RUNS_KEPT:
            self._put(self._keys.run(run.app, run.number - _RUNS_KEPT), "")

    def release(self, release: Release) -> None:
        value = {"release": release.number, "commit": release.commit_id, "image": release.image}
        self._put(self._keys.app(release.app), json.dumps(value))

    def nodes(self) -> dict[str, str]:
        """What etcd has of nodes, by name; nothing while it is away."""
        try:
            entries = self._store.list(self._keys.nodes).entries
        except RegistryError:
            return {}
        return {key.rpartition("/")[2]: value for key, value in entries.items()}

    def node(self, name: str, value: str) -> None:
        """How a node is, as JSON."""
        self._put(self._keys.node(name), value)

    def node_gone(self, name: str) -> None:
        """A node that was removed."""
        self._put(self._keys.node(name), "")

    def gone(self, app: str, runs: list[int]) -> None:
        """An app that was destroyed."""
        for key in (self._keys.app(app), *(self._keys.run(app, number) for number in runs)):
            self._put(key, "")

    def close(self) -> None:
        """Write what waits, but not for long: it can be lost without harm."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST)
        self._thread.join(timeout=_LAST)

    def _put(self, key: str, value: str) -> None:
        """An empty value lets the key expire."""
        try:
            self._waiting.put_nowait((key, value))
        except queue.Full:
            print(f"etcd is slow or away: {key} was not published", file=sys.stderr)

    def _write(self) -> None:
        while (item := self._waiting.get()) is not None:
            key, value = item
            try:
                self._store.put(key, value or "{}", None if value else 1)
            except RegistryError as error:
                print(f"etcd: {error.message}: {key} was not published", file=sys.stderr)
