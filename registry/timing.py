"""The time to live of a member's key, and the intervals of its refresh."""

from __future__ import annotations

from dataclasses import dataclass

from registry.errors import RegistryError


@dataclass(frozen=True)
class Timing:
    """Seconds: a key's time to live, and the times between refreshes and retries. Raises RegistryError."""

    ttl: int = 60
    refresh: float = 20
    retry: float = 10

    def __post_init__(self) -> None:
        if not (self.ttl >= 1 and self.refresh > 0 and self.retry > 0):
            raise RegistryError(
                f"etcd's ttl {self.ttl}, refresh {self.refresh} and retry {self.retry} "
                "must be above zero."
            )
        if self.refresh + 2 * self.retry > self.ttl:
            raise RegistryError(
                f"refresh {self.refresh} + 2 x retry {self.retry} is more than ttl {self.ttl}: "
                "a key could expire while its slave lives.",
                "Raise ttl, or lower refresh or retry.",
            )
