"""Probes of a TCP address. Each waits 1 s for the connection."""

from __future__ import annotations

import socket

_WITHIN = 1.0


def answers(host: str, port: int) -> bool:
    """Return whether a connection is accepted at the address."""
    try:
        socket.create_connection((host, port), timeout=_WITHIN).close()
    except OSError:
        return False
    return True


def greets(host: str, port: int, greeting: bytes) -> bool:
    """Return whether the peer begins with `greeting`: a port forwarder accepts even without a server."""
    try:
        with socket.create_connection((host, port), timeout=_WITHIN) as connection:
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False


def keeps(host: str, port: int, seconds: float = 0.2) -> bool:
    """Return whether a connection is accepted and not closed within `seconds`.

    A port forwarder without a server behind it closes at once.
    """
    try:
        with socket.create_connection((host, port), timeout=_WITHIN) as connection:
            connection.settimeout(seconds)
            return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
