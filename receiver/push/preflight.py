"""What has to be sound before `nap up` starts anything: it says what is not, and what to do."""

from __future__ import annotations

import re
import socket

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger import ledger

_LOOPBACK = ("127.0.0.1", 0)
_WITHIN = 5.0


def check(home: Home) -> None:
    """Raise ReceiverError for what no part of nap could work with."""
    _check_loopback()
    ledger.check(home.ledger)


def _check_loopback() -> None:
    """Everything of nap meets at 127.0.0.1."""
    try:
        with socket.create_server(_LOOPBACK) as listener:
            socket.create_connection(listener.getsockname(), _WITHIN).close()
    except OSError as error:
        raise ReceiverError(
            f"this machine does not reach itself at 127.0.0.1: {error.strerror or error}",
            "is its interface lo up? see: ip link show lo; as root: ip link set lo up",
        ) from error


def onward(error: Exception, home: Home) -> Exception:
    """The error, without the advice to do what was just done."""
    message, hint = getattr(error, "message", ""), getattr(error, "hint", "")
    if not message or not re.match(r"(Run: )?nap up\b", hint):
        return error
    anew = f"nap down; rm -r {home.etcd}; nap up"
    return ReceiverError(message, f"see {home.log}; to begin anew with etcd: {anew} (history stays)")
