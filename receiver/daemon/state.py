"""Checks whether the running daemon matches the home's files, or has to be restarted."""

from __future__ import annotations

import hashlib

from receiver.home.paths import Home
from registry.etcd import server as etcd_server


def digest(home: Home) -> str:
    """Return a digest of the files that a daemon reads only at its start."""
    logins = (home.logins / "config.json", home.logins / "certs" / "ca.crt")
    authority = etcd_server.authority_file(home.etcd)
    read = (home.settings, home.etcd_settings, home.engine, authority, *logins)
    there = {str(path): path.read_bytes() for path in read if path.exists()}
    return hashlib.sha256(repr(there).encode()).hexdigest()


def has_sockets(home: Home) -> bool:
    """Return whether clients and hooks can find the daemon's sockets."""
    return home.api_socket.is_socket() and home.hook_socket.is_socket()


def has_read(home: Home, digest: str) -> bool:
    """Return whether the daemon was started with files of this digest."""
    return home.settings_read.exists() and home.settings_read.read_bytes() == digest.encode()
