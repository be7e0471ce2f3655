"""Whether the daemon that runs is as the home says: it may have to be started again."""

from __future__ import annotations

import hashlib

from receiver.home.paths import Home
from registry.etcd import server as etcd_server


def digest(home: Home) -> str:
    """Of all that a daemon reads once, when it starts."""
    logins = (home.logins / "config.json", home.logins / "certs" / "ca.crt")
    authority = etcd_server.authority_file(home.etcd)
    read = (home.settings, home.etcd_settings, home.engine, authority, *logins)
    there = {str(path): path.read_bytes() for path in read if path.exists()}
    return hashlib.sha256(repr(there).encode()).hexdigest()


def has_sockets(home: Home) -> bool:
    """Whether those who speak to it find it."""
    return home.api_socket.is_socket() and home.hook_socket.is_socket()


def has_read(home: Home, digest: str) -> bool:
    """Whether it has read what has this digest."""
    return home.settings_read.exists() and home.settings_read.read_bytes() == digest.encode()
