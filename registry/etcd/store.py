"""The few things nap asks of etcd, the same for both of its APIs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

# Longest time in seconds that etcd may take for one answer.
ANSWER = 5.0


@dataclass(frozen=True)
class Listing:
    """The values by their whole keys, and the index of etcd they were true at."""

    index: int
    entries: Mapping[str, str]


class Watch(ABC):
    """Something that knows when a folder changes. Close it, or use it in a `with`."""

    @abstractmethod
    def wait(self, index: int, timeout: float) -> None:
        """Return when the folder changed after `index`, or after `timeout` seconds.

        A return is a hint to list again, no more: it also happens when etcd has forgotten what
        came after `index`. Raises RegistryError when etcd cannot be watched.
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
    """One etcd through one of its APIs; may be used by several threads.

    Every method raises RegistryError, with `retry` set where etcd was away. The `_all` forms
    take values by key and are how many keys are written fast. A `ttl` is in seconds.
    """

    @abstractmethod
    def put_all(self, entries: Mapping[str, str], ttl: int | None) -> None:
        """Write values, over whatever is there; with a `ttl` they expire."""

    @abstractmethod
    def refresh_all(self, entries: Mapping[str, str], ttl: int) -> None:
        """Let these live another `ttl`; write again what is gone, leave what is another's now."""

    @abstractmethod
    def remove_all(self, entries: Mapping[str, str]) -> None:
        """Remove the keys that still have these values."""

    @abstractmethod
    def list(self, prefix: str) -> Listing:
        """Everything in the folder `prefix`, at any depth."""

    @abstractmethod
    def watch(self, prefix: str) -> Watch:
        """A watch on the folder `prefix`; nothing is sent before its first wait."""

    @abstractmethod
    def ping(self) -> None:
        """Return when etcd answers this API; raise RegistryError when it does not."""

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        self.put_all({key: value}, ttl)

    def refresh(self, key: str, value: str, ttl: int) -> None:
        self.refresh_all({key: value}, ttl)

    def remove(self, key: str, value: str) -> None:
        self.remove_all({key: value})
