"""A run's own network, for a machine that has no interface but `lo`.

Open MPI's daemons do not communicate over loopback: without another interface mpirun ends with 213.
"""

from __future__ import annotations

import os

ADDRESS = "169.254.77.1/24"
_COMMANDS = (
    ("link", "set", "lo", "up"),
    ("link", "add", "nap0", "type", "veth", "peer", "name", "nap1"),
    ("addr", "add", ADDRESS, "dev", "nap0"),
    ("link", "set", "nap0", "up"),
    ("link", "set", "nap1", "up"),
)


def bring_up() -> None:
    """Bring up a veth pair, one end with an address. Raise OSError when `ip` fails."""
    for command in _COMMANDS:
        code = os.spawnvpe(os.P_WAIT, "ip", ["ip", *command], {**os.environ, "PATH": _path()})
        if code != 0:
            raise OSError(f"`ip {' '.join(command)}` failed with {code}")


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
