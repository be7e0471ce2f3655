"""The error of this package."""

from __future__ import annotations


class RegistryError(Exception):
    """An error with one sentence on what was found, and a hint on what to do about it.

    `retry` is whether the same call can succeed later (etcd is down); `missing` are the slaves that a
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
    """Return the message of the innermost error that a client library wrapped: "Connection refused"."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
