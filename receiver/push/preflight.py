"""Checks before `nap up` starts anything. Their errors name the fault and its remedy."""

from __future__ import annotations

import re
import socket

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger import ledger

_LOOPBACK = ("127.0.0.1", 0)
_WITHIN = 5.0


def check(home: Home) -> None:
    """Raise ReceiverError for a fault that no part of nap can work with: no loopback, a damaged ledger."""
    _check_loopback()
    ledger.check(home.ledger)


def _check_loopback() -> None:
    """Raise ReceiverError if 127.0.0.1 cannot be reached: nap's parts connect to each other there."""
    try:
        with socket.create_server(_LOOPBACK) as listener:
            socket.create_connection(listener.getsockname(), _WITHIN).close()
    except OSError as error:
        raise ReceiverError(
            f"this machine does not reach itself at 127.0.0.1: {error.strerror or error}",
            "is its interface lo up? see: ip link show lo; as root: ip link set lo up",
        ) from error


def onward(error: Exception, home: Home) -> Exception:
    """Return the error. If its hint is `nap up`, which has just been run, replace the hint."""
    message, hint = getattr(error, "message", ""), getattr(error, "hint", "")
    if not message or not re.match(r"(Run: )?nap up\b", hint):
        return error
    anew = f"nap down; rm -r {home.etcd}; nap up"
    return ReceiverError(message, f"see {home.log}; to begin anew with etcd: {anew} (history stays)")
