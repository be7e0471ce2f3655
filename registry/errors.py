"""What goes wrong in this package."""

from __future__ import annotations


class RegistryError(Exception):
    """One sentence on what was found, and a hint on what to do about it.

    `retry` says whether the same call may work later (etcd is away), `missing` which slaves a
    gather did not find.
    """

    def __init__(
        self, message: str, hint: str = "", retry: bool = False, missing: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry = retry
        self.missing = missing


def root_cause(error: BaseException) -> str:
    """What a client library's wrapped error began with, such as "Connection refused"."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
