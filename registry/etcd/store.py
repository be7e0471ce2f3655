"""The operations that nap needs of etcd, the same for both of its APIs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

# Seconds: the timeout of one answer.
ANSWER = 5.0


@dataclass(frozen=True)
class Listing:
    """The values by full key, and etcd's index at which they were read."""

    index: int
    entries: Mapping[str, str]


class Watch(ABC):
    """Waits for changes in a folder. Close it, or use it in a `with`."""

    @abstractmethod
    def wait(self, index: int, timeout: float) -> None:
        """Return when the folder has changed since `index`, or after `timeout` seconds.

        A return is only a hint to list again: this also returns when etcd no longer has the events after
        `index`. Raises RegistryError when etcd cannot be watched.
        """

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class Store(ABC):
    """One etcd through one of its APIs. Several threads can use it.

    Every method raises RegistryError, with `retry` set when etcd was down. The `_all` forms take values by
    key: they are the fast way to write many keys. A `ttl` is in seconds.
    """

    @abstractmethod
    def put_all(self, entries: Mapping[str, str], ttl: int | None) -> None:
        """Write values unconditionally; with a `ttl` they expire."""

    @abstractmethod
    def refresh_all(self, entries: Mapping[str, str], ttl: int) -> None:
        """Renew the `ttl` of keys that have these values, and write missing ones. Leave any other value."""

    @abstractmethod
    def remove_all(self, entries: Mapping[str, str]) -> None:
        """Remove the keys that still have these values."""

    @abstractmethod
    def list(self, prefix: str) -> Listing:
        """Return everything in the folder `prefix`, at any depth."""

    @abstractmethod
    def watch(self, prefix: str) -> Watch:
        """Return a watch on the folder `prefix`. It sends nothing before its first wait."""

    @abstractmethod
    def ping(self) -> None:
        """Raise RegistryError when etcd does not answer this API."""

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        self.put_all({key: value}, ttl)

    def refresh(self, key: str, value: str, ttl: int) -> None:
        self.refresh_all({key: value}, ttl)

    def remove(self, key: str, value: str) -> None:
        self.remove_all({key: value})
