"""The requests of nodes to the proxy in front of etcd: to put, refresh or remove an announcement.

They are requests of etcd's v2 API, so that one script works with an admin's etcd and with the proxy. Each has
a signature that the receiver made for exactly this key and value, and that permits nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

# The user name of all nodes. The password is the signature of an announcement.
USER = "announcer"
LONGEST_BODY = 64 * 1024
# Seconds: the longest time that a key lives after its last refresh.
LONGEST_TTL = 24 * 60 * 60
_PREFIX = "/v2/keys"
_KEY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9@._-]+)+")

Verb = Literal["put", "refresh", "remove"]


@dataclass(frozen=True)
class Request:
    """A request for one key. `ttl` is in seconds, 0 for a removal."""

    verb: Verb
    key: str
    value: str
    ttl: int = 0

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]


class Refused(Exception):
    """The request is not an announcer's, or is not permitted."""


def sign(secret: str, key: str, value: str) -> str:
    """Return the signature that permits to announce this value at this key."""
    said = f"{key}\0{value}".encode()
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()


def read(method: str, target: str, authorization: str, body: bytes, secret: str, folder: str) -> Request:
    """Return the request. Raise Refused unless it is valid, signed, and for a key below `folder`."""
    try:
        request = _parse(method, target, body)
    except ValueError as error:
        raise Refused("not a request of an announcer") from error
    if not request.key.startswith(f"{folder}/") or not _KEY.fullmatch(request.key):
        raise Refused("not a key that nodes announce")
    expected = f"{USER}:{sign(secret, request.key, request.value)}".encode()
    if not hmac.compare_digest(_credentials(authorization), expected):
        raise Refused("not signed by this receiver")
    return request


def run_of(value: str) -> int:
    """Return the number of the run that a value belongs to; 0 when the value has none."""
    try:
        run = json.loads(value)["run"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return run if type(run) is int else 0


def _parse(method: str, target: str, body: bytes) -> Request:
    """Parse a request. Raise ValueError when it has none of the three forms of the announcer's script."""
    parts = urlsplit(target)
    if not parts.path.startswith(f"{_PREFIX}/") or parts.scheme or parts.netloc or parts.fragment:
        raise ValueError(target)
    key = unquote(parts.path.removeprefix(_PREFIX), errors="strict")
    fields = _fields(parts.query if method == "DELETE" else body.decode())
    if method == "DELETE" and not body:
        (value,) = _only(fields, "prevValue")
        return Request("remove", key, value)
    if method == "PUT" and not parts.query and fields.pop("refresh", "") == "true":
        ttl, value = _only(fields, "ttl", "prevValue")
        return Request("refresh", key, value, _ttl(ttl))
    if method == "PUT" and not parts.query:
        ttl, value = _only(fields, "ttl", "value")
        return Request("put", key, value, _ttl(ttl))
    raise ValueError(method)


def _fields(text: str) -> dict[str, str]:
    """Return a form's fields. Raise ValueError if one is there twice, or there are more than three."""
    fields = parse_qs(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=3)
    return {name: value for name, (value,) in fields.items()}


def _only(fields: dict[str, str], *names: str) -> list[str]:
    if set(fields) != set(names) or not all(fields.values()):
        raise ValueError(fields)
    return [fields[name] for name in names]


def _ttl(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(text)
    return min(int(text), LONGEST_TTL)


def _credentials(authorization: str) -> bytes:
    scheme, _, coded = authorization.partition(" ")
    try:
        return b64decode(coded, validate=True) if scheme == "Basic" else b""
    except (NotBase64, ValueError):
        return b""
