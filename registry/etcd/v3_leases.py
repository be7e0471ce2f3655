"""Keep track of which keys share which lease of etcd's v3 API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class Leases:
    """The leases of keys. Keys that are written together share one, so that renewing them takes one request.

    A lease is renewed only while all its keys are. Otherwise the caller moves the live keys to a new lease,
    and the old one expires with the dead keys alone.
    """

    def __init__(self, grant: Callable[[int], int], keep_alive: Callable[[int], bool]) -> None:
        self._grant = grant
        self._keep_alive = keep_alive
        self._lease: dict[str, int] = {}
        self._keys: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def new(self, keys: Iterable[str], ttl: int) -> int:
        """Return a new lease for these keys, which leave their old leases. `ttl` is in seconds."""
        lease = self._grant(ttl)
        wanted = set(keys)
        with self._lock:
            self._leave(wanted)
            self._keys[lease] = wanted
            self._lease.update(dict.fromkeys(wanted, lease))
        return lease

    def keep(self, keys: Iterable[str]) -> dict[str, int]:
        """Renew the leases whose keys are all in `keys`. Return the keys of the live ones, with the lease."""
        wanted = set(keys)
        with self._lock:
            whole = {lease: held for lease, held in self._keys.items() if held <= wanted}
        # Without the lock: each call is a request to etcd.
        return {
            key: lease for lease, held in whole.items() if self._keep_alive(lease) for key in held
        }

    def forget(self, keys: Iterable[str]) -> None:
        with self._lock:
            self._leave(keys)

    def _leave(self, keys: Iterable[str]) -> None:
        for key in keys:
            lease = self._lease.pop(key, None)
            if lease is not None:
                self._keys[lease].discard(key)
                if not self._keys[lease]:
                    del self._keys[lease]
