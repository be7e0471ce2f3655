"""Find ports of this machine that are free to listen on."""

from __future__ import annotations

import random
import socket

# Below the kernel's default ephemeral ports, so that no other process is assigned a port that clients know.
LASTING = range(20000, 32768)


def is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def lasting(host: str, among: range = LASTING) -> int:
    """Return a free port that the kernel assigns to no other process while ours is down."""
    return next(port for port in random.sample(among, len(among)) if is_free(host, port))


def fleeting(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])
