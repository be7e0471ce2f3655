"""The node's announcer: keeps the keys of its live slaves in etcd.

It outlives the receiver. When it is stopped it leaves the keys in etcd: the runners announce them to the next
one. The protocol is in `registry.discovery.protocol`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import nap_start
from registry.discovery.protocol import converse
from registry.discovery.table import Announced
from registry.discovery.writer import Writer
from registry.errors import RegistryError
from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store
from registry.etcd.store import Store
from registry.processes import Detached, PidLock, tell_starter

SOCKET = "discovery.sock"
LOCK = "discovery.lock"
SETTINGS = "etcd.json"


def start(home: Path, log: Path, version: str = "") -> int:
    """Start the announcer of this home, which has `etcd.json` in it, unless it runs; return its pid.

    One of another version is replaced; with `version` "" none is. Runners can connect when this returns.
    Raises RegistryError when it does not come up.
    """
    process = Detached("discovery", home / LOCK, log)
    if version:
        process.stop_other(version)
    with process.closed_door() as lock:
        if not lock.take():
            return lock.owner()
        # The new process takes the lock itself; the door keeps others from starting one meanwhile.
        lock.release()
        command = nap_start.argv("registry.discovery.daemon", "--home", str(home))
        return process.launch(command, dict(os.environ), None, version=version)


def stop(home: Path) -> None:
    """End the announcer. Keys of live slaves stay in etcd until they expire or are announced again."""
    Detached("discovery", home / LOCK, home / "log").stop()


def pid(home: Path) -> int | None:
    """Return its pid; None when it does not run."""
    return Detached("discovery", home / LOCK, home / "log").pid()


def main() -> int:
    parser = argparse.ArgumentParser(prog="discovery")
    parser.add_argument("--home", type=Path, required=True, help="nap's home, with etcd.json in it")
    # Paths relative to the home stay below the 108 bytes that a socket's path can have.
    os.chdir(parser.parse_args().home)
    lock = PidLock(Path(LOCK))
    if not lock.take():
        _say(f"It runs already, as process {lock.owner()}.")
        return 0
    lock.write(os.getpid())
    try:
        _serve(StoreSettings.load(Path(SETTINGS)))
    except RegistryError as error:
        _say(error.message)
        return 1
    return 0


def _serve(settings: StoreSettings) -> None:
    announced = Announced()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: announced.close())
    listener = _listen()
    threading.Thread(target=_accept, args=(listener, announced), daemon=True).start()
    tell_starter()
    Writer(announced, _connect, settings.timing, _say).run()
    Path(SOCKET).unlink(missing_ok=True)


def _connect() -> Store:
    """Open the etcd of the current settings: it can have moved since the start."""
    return open_store(StoreSettings.load(Path(SETTINGS)).endpoint)


def _listen() -> socket.socket:
    Path(SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(SOCKET)
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener


def _accept(listener: socket.socket, announced: Announced) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            _say(f"A runner cannot connect: {error}.")
            announced.wait_closed(1)
            continue
        arguments = (connection, announced, _say)
        threading.Thread(target=converse, args=arguments, daemon=True).start()


def _say(line: str) -> None:
    """Log a line. A full disk is ignored."""
    with contextlib.suppress(OSError):
        print(f"discovery: {line}", file=sys.stderr, flush=True)
