"""Report live units to the node's discovery process, which writes and refreshes their keys in etcd."""

from __future__ import annotations

import json
import socket

_SOCKET = "discovery.sock"


class Announcer:
    """A connection to the discovery process that reconnects and then repeats all current announcements.

    `home` is a descriptor of nap's home: the path itself is hidden inside the capsule. A message that cannot
    be sent is dropped.
    """

    def __init__(self, home: int) -> None:
        self._path = f"/proc/self/fd/{home}/{_SOCKET}"
        self._announced: dict[str, str] = {}
        self._connection: socket.socket | None = None

    def announce(self, key: str, value: str) -> None:
        self._announced[key] = value
        self._send({"announce": {"key": key, "value": value}})

    def withdraw(self, key: str) -> None:
        if self._announced.pop(key, None) is not None:
            self._send({"withdraw": key})

    def withdraw_all(self) -> None:
        for key in list(self._announced):
            self.withdraw(key)

    def alive(self, keys: list[str]) -> None:
        """Report that the units of `keys` are alive now. The keys of other units expire."""
        announced = [key for key in keys if key in self._announced]
        if announced:
            self._send({"alive": announced})

    def _send(self, message: dict[str, object]) -> None:
        if self._connection is None and not self._connect():
            return
        self._write(message)

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(2)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            return False
        self._connection = connection
        for key, value in self._announced.items():
            self._write({"announce": {"key": key, "value": value}})
        return True

    def _write(self, message: dict[str, object]) -> None:
        if self._connection is None:
            return
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._connection.close()
            self._connection = None
