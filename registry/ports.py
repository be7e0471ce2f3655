"""Which ports of this machine can be listened on."""

from __future__ import annotations

import random
import socket

# Below those that the kernel gives to whoever asks for any: others call us by this one for good.
LASTING = range(20000, 32768)


def is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def lasting(host: str, among: range = LASTING) -> int:
    """A free port that nobody else is given while we are away."""
    return next(port for port in random.sample(among, len(among)) if is_free(host, port))


def fleeting(host: str) -> int:
    """Any free port."""
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])
