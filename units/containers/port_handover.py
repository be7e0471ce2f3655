"""A service's port on this machine, forwarded to one container and later to the next, without a gap.

The run that has the port sends the listening socket itself to the next run that asks for it, over a
Unix socket beside the app's runs. No connection is refused in between.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

_ADDRESS = "127.0.0.1"
_BLOCK = 1 << 16
_WITHIN = 5.0
_LOOK = 0.2


class PortHandover:
    """Accepts connections at `port` of this machine and forwards them to `target`, an address and a port."""

    def __init__(self, port: int, door: Path, target: tuple[str, int]) -> None:
        """Take the socket over from the app's previous run, or open a new one.

        `door` is the path of the Unix socket. Raise OSError when another program has the port.
        """
        self._door = os.path.relpath(door)  # the path of a Unix socket is limited to 108 bytes
        self.target = target
        self._listener = _asked_for(self._door) or _listener(port)
        self._given = threading.Event()
        self._handing = threading.Lock()
        self._carrying: list[threading.Thread] = []
        self._successor = self._open_door()
        threading.Thread(target=self._hand_over, daemon=True).start()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _open_door(self) -> socket.socket:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unfinished = f"{self._door}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        door.bind(unfinished)
        door.listen()
        os.rename(unfinished, self._door)  # replaces the previous run's socket without a gap
        return door

    def _hand_over(self) -> None:
        """Hand the port over once: the successor accepts new connections, open ones continue here."""
        with contextlib.suppress(OSError):
            while not self._given.is_set():
                asking, _ = self._successor.accept()
                with asking:
                    self._give_to(asking)

    def _give_to(self, asking: socket.socket) -> None:
        """Send the socket. The port is given only when the successor confirms: it can have died meanwhile."""
        with self._handing, contextlib.suppress(OSError):
            asking.settimeout(_WITHIN)
            socket.send_fds(asking, [b"+"], [self._listener.fileno()])
            if asking.recv(1):
                self._given.set()

    def _is_given(self) -> bool:
        """Return whether the port was handed over. Wait for a handover in progress."""
        with self._handing:
            return self._given.is_set()

    def _accept(self) -> None:
        """Accept and forward until the handover; a connection accepted during it is still forwarded here."""
        self._listener.settimeout(_LOOK)
        while not self._given.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            carrying = threading.Thread(target=self._carry, args=(connection,), daemon=True)
            self._carrying = [*filter(threading.Thread.is_alive, self._carrying), carrying]
            carrying.start()

    def _carry(self, connection: socket.socket) -> None:
        with (
            connection,
            contextlib.suppress(OSError),
            socket.create_connection(self.target, timeout=_WITHIN) as onward,
        ):
            onward.settimeout(None)
            connection.settimeout(None)
            back = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
            back.start()
            _pump(connection, onward)
            back.join()

    def drain(self, seconds: float) -> None:
        """Wait up to `seconds` for the open connections to end, if another run accepts the new ones."""
        if not self._is_given():
            return
        end = time.monotonic() + seconds
        self._accepting.join(seconds)
        for thread in self._carrying:
            thread.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Stop accepting. Shut the listening socket down, unless another run shares it after a handover."""
        self._successor.close()
        if not self._is_given():
            self._given.set()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._door)
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until `source` ends, then shut down writing to `target`."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _asked_for(door: str) -> socket.socket | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_WITHIN)
        try:
            asking.connect(door)
            _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
        except OSError:
            return None
        with contextlib.suppress(OSError):  # the previous run can have ended meanwhile
            asking.sendall(b"+")
    return socket.socket(fileno=descriptors[0]) if descriptors else None


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_ADDRESS, port))
    listener.listen(128)
    return listener
