"""What is to be in etcd for the slaves of this node, and what has yet to be done for that."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TableWork:
    """What the writer is to do next; values by key. No key and value are in two of these."""

    removals: Mapping[str, str] = field(default_factory=dict)
    puts: Mapping[str, str] = field(default_factory=dict)
    refreshes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Entry:
    value: str
    owner: object
    seen: bool = False


class Announced:
    """The table between the connections that announce and the one writer; any thread may call.

    The owner of a key is whoever announced it last: the connection of a run's runner.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._puts: set[str] = set()
        self._removals: dict[str, str] = {}
        self._changed = threading.Condition()
        self._closed = False

    def announce(self, owner: object, key: str, value: str) -> None:
        with self._changed:
            known = self._entries.get(key)
            if known is None or known.value != value:
                self._puts.add(key)
            if self._removals.get(key) == value:
                del self._removals[key]
            self._entries[key] = _Entry(value, owner)
            self._changed.notify_all()

    def alive(self, keys: Iterable[str]) -> None:
        """These slaves were seen alive now; keys that nobody announced do not matter."""
        with self._changed:
            for key in keys:
                if key in self._entries:
                    self._entries[key].seen = True

    def withdraw(self, owner: object, key: str) -> None:
        """Give up a key, unless another owner has announced it since."""
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
        """Wait for new work, at most `timeout` seconds or until closed, and take all of it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._puts or self._removals or self._closed, max(0.0, timeout)
            )
            work = TableWork(self._removals, {key: self._entries[key].value for key in self._puts})
            self._removals, self._puts = {}, set()
            return work

    def seen(self) -> Mapping[str, str]:
        """All whose slave was seen alive since this was asked before."""
        with self._changed:
            seen = {key: entry for key, entry in self._entries.items() if entry.seen}
            for entry in seen.values():
                entry.seen = False
            return {key: entry.value for key, entry in seen.items()}

    def give_back(self, work: TableWork) -> None:
        """Work that could not be done is taken again, unless something newer goes before it."""
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
        """True as soon as it is closed, False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout)
