"""Publishes states in etcd for watchers. Nothing waits for it, and a lost update does no harm."""

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
_LAST = 2.0  # seconds


class Publisher:
    """Writes in a thread of its own. A failed write is logged and dropped."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        # Set when the runs' use of nodes, or the list of nodes, can have changed.
        self.changed = threading.Event()
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(_HELD)
        self._thread = threading.Thread(target=self._write, name="publisher", daemon=True)
        self._thread.start()

    def run(self, run: Run) -> None:
        """Publish the state of a run. When it has ended, remove that of the run 20 numbers before it."""
        self.changed.set()
        self._put(self._keys.run(run.app, run.number), json.dumps(record.as_json(run)))
        if run.has_ended and run.number > _RUNS_KEPT:
            self._put(self._keys.run(run.app, run.number - _RUNS_KEPT), "")

    def release(self, release: Release) -> None:
        value = {"release": release.number, "commit": release.commit_id, "image": release.image}
        self._put(self._keys.app(release.app), json.dumps(value))

    def nodes(self) -> dict[str, str]:
        """Return the nodes' entries in etcd, as JSON by name; empty while etcd is unreachable."""
        try:
            entries = self._store.list(self._keys.nodes).entries
        except RegistryError:
            return {}
        return {key.rpartition("/")[2]: value for key, value in entries.items()}

    def node(self, name: str, value: str) -> None:
        """Publish the state of a node, given as JSON."""
        self._put(self._keys.node(name), value)

    def node_gone(self, name: str) -> None:
        """Remove the entry of a removed node."""
        self._put(self._keys.node(name), "")

    def gone(self, app: str, runs: list[int]) -> None:
        """Remove the entries of a destroyed app and of its runs."""
        for key in (self._keys.app(app), *(self._keys.run(app, number) for number in runs)):
            self._put(key, "")

    def close(self) -> None:
        """Write what is queued, for a few seconds at most: the rest can be lost without harm."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST)
        self._thread.join(timeout=_LAST)

    def _put(self, key: str, value: str) -> None:
        """Queue a write. An empty value makes the key expire after a second."""
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
