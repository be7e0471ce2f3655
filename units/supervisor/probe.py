"""Whether somebody answers at an address."""

from __future__ import annotations

import socket

_WITHIN = 1.0


def answers(host: str, port: int) -> bool:
    """Whether a connection is taken there."""
    try:
        socket.create_connection((host, port), timeout=_WITHIN).close()
    except OSError:
        return False
    return True


def greets(host: str, port: int, greeting: bytes) -> bool:
    """Whether what is there begins with `greeting`: who forwards a port takes connections for nobody."""
    try:
        with socket.create_connection((host, port), timeout=_WITHIN) as connection:
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False


def keeps(host: str, port: int, seconds: float = 0.2) -> bool:
    """Whether a connection is taken there and not closed at once, as by who forwards it to nobody."""
    try:
        with socket.create_connection((host, port), timeout=_WITHIN) as connection:
            connection.settimeout(seconds)
            return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
