"""The table of keys that etcd must have for this node's slaves, and of the writes still to do."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TableWork:
    """The writer's next work: values by key. No pair of key and value is in two of these."""

    removals: Mapping[str, str] = field(default_factory=dict)
    puts: Mapping[str, str] = field(default_factory=dict)
    refreshes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Entry:
    value: str
    owner: object
    seen: bool = False


class Announced:
    """The table between the connections that announce and the one writer. Any thread can call.

    The owner of a key is the connection (of a run's runner) that announced it last.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._puts: set[str] = set()
        self._removals: dict[str, str] = {}
        self._changed = threading.Condition()
        self._closed = False

    def announce(self, owner: object, key: str, value: str) -> None:
        """Make `owner` the key's owner, and have the value written if it is new."""
        with self._changed:
            known = self._entries.get(key)
            if known is None or known.value != value:
                self._puts.add(key)
            if self._removals.get(key) == value:
                del self._removals[key]
            self._entries[key] = _Entry(value, owner)
            self._changed.notify_all()

    def alive(self, keys: Iterable[str]) -> None:
        """Mark these slaves as seen alive now. Keys that nobody announced are ignored."""
        with self._changed:
            for key in keys:
                if key in self._entries:
                    self._entries[key].seen = True

    def withdraw(self, owner: object, key: str) -> None:
        """Withdraw a key, unless another owner has announced it since."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is not None and entry.owner is owner:
                self._drop(key)
                self._changed.notify_all()

    def leave(self, owner: object) -> None:
        """Withdraw all that this owner still has."""
        with self._changed:
            for key in [key for key, entry in self._entries.items() if entry.owner is owner]:
                self._drop(key)
            self._changed.notify_all()

    def _drop(self, key: str) -> None:
        self._removals[key] = self._entries.pop(key).value
        self._puts.discard(key)

    def take(self, timeout: float) -> TableWork:
        """Wait for puts and removals, at most `timeout` seconds or until closed, and take all of them."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._puts or self._removals or self._closed, max(0.0, timeout)
            )
            work = TableWork(self._removals, {key: self._entries[key].value for key in self._puts})
            self._removals, self._puts = {}, set()
            return work

    def seen(self) -> Mapping[str, str]:
        """Return the entries whose slave was seen alive since the last call."""
        with self._changed:
            seen = {key: entry for key, entry in self._entries.items() if entry.seen}
            for entry in seen.values():
                entry.seen = False
            return {key: entry.value for key, entry in seen.items()}

    def give_back(self, work: TableWork) -> None:
        """Put failed work back, except for what newer entries have overtaken."""
        self.alive(work.refreshes)
        with self._changed:
            self._puts.update(key for key in work.puts if key in self._entries)
            for key, value in work.removals.items():
                entry = self._entries.get(key)
                if entry is None or entry.value != value:
                    self._removals.setdefault(key, value)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_closed(self, timeout: float) -> bool:
        """Wait until the table is closed: True then, False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout)
