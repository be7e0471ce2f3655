"""The pusher's name: the user at the other end of the hook's socket, and the ssh key of the login."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import pwd
import stat
import unicodedata
from collections.abc import Mapping

from receiver.home.paths import users_home

_LONGEST = 100
_LARGEST_FILE = 1 << 20


def name(uid: int, login: Mapping[str, str]) -> str:
    """Return `ada`, `ada (key laptop)` or `ada (from 192.0.2.7)`, with as much as is known.

    `login` has the variables that sshd set: NAP_KEY, from `environment=` in authorized_keys; SSH_USER_AUTH,
    the path of the file that `ExposeAuthInfo yes` makes; SSH_CONNECTION.
    """
    user = _user(uid)
    if key := _clean(login.get("NAP_KEY", "") or _key(login.get("SSH_USER_AUTH", ""))):
        return f"{user} (key {key})"
    address = _clean(login.get("SSH_CONNECTION", "").partition(" ")[0])
    return f"{user} (from {address})" if address else user


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _clean(text: str) -> str:
    """Return a name fit for a table and a record: no control characters, at most 100 characters."""
    shown = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
    return shown.strip()[:_LONGEST]


def _key(path: str) -> str:
    """Return the comment in authorized_keys for the key in sshd's file, else the key's fingerprint."""
    words = (line.split() for line in _read(path).splitlines())
    blob = next((line[2] for line in words if len(line) > 2 and line[0] == "publickey"), "")
    return _comment(blob) or _fingerprint(blob) if blob else ""


def _comment(blob: str) -> str:
    for line in _read(str(users_home() / ".ssh" / "authorized_keys")).splitlines():
        _, found, comment = line.partition(f" {blob}")
        if found and not line.lstrip().startswith("#"):
            return comment.strip()
    return ""


def _fingerprint(blob: str) -> str:
    try:
        digest = hashlib.sha256(base64.b64decode(blob)).digest()
    except (binascii.Error, ValueError):
        return ""
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _read(path: str) -> str:
    """Return the start of a file's text (1 MB); empty for a missing file or anything but a regular file."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(_LARGEST_FILE).decode(errors="replace") if regular else ""
    except (OSError, ValueError):
        return ""


# The path comes from the pusher's environment: opening a FIFO would block without O_NONBLOCK.
def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
