"""What nodes may say to the proxy before etcd: that an announcement stands, still stands, or is over.

The requests are those of etcd's v2 API, so that one script serves an admin's etcd and this. Each carries a
signature which the receiver made for exactly this key and value: whoever holds it can say nothing else.
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

# Who nodes are to the proxy; what tells them apart is the signature, which stands in place of a password.
USER = "announcer"
LONGEST_BODY = 64 * 1024
# Seconds: the longest that a key outlives the last word of whoever announced it.
LONGEST_TTL = 24 * 60 * 60
_PREFIX = "/v2/keys"
_KEY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9@._-]+)+")

Verb = Literal["put", "refresh", "remove"]


@dataclass(frozen=True)
class Request:
    """`ttl` is in seconds, 0 where the key is to go."""

    verb: Verb
    key: str
    value: str
    ttl: int = 0

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]


class Refused(Exception):
    """A request that is not one of an announcer's, or has no right to what it asks for."""


def sign(secret: str, key: str, value: str) -> str:
    """The right to announce this value at this key."""
    said = f"{key}\0{value}".encode()
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()


def read(method: str, target: str, authorization: str, body: bytes, secret: str, folder: str) -> Request:
    """The request, which is signed and about a key below `folder`. Refused, if it is anything else."""
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
    """The number of the run that a value is of; 0 when it names none."""
    try:
        run = json.loads(value)["run"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return run if type(run) is int else 0


def _parse(method: str, target: str, body: bytes) -> Request:
    """ValueError when it is none of the three forms that the announcer's script has."""
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
    """The fields of a form, each of which may be there once."""
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
