"""The protocol between runners and the node's announcer: a JSON object a line.

{"announce": {"key": KEY, "value": TEXT}}   write the key now
{"alive": [KEY, ...]}                       these slaves were seen alive just now
{"withdraw": KEY}                           remove the key, if it still is this connection's

When a connection closes, or sends anything else, all that it announced is withdrawn.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable

from registry.discovery.table import Announced
from registry.errors import RegistryError

LONGEST_LINE = 64 * 1024
_KEY = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9@._-]+)+")


def converse(connection: socket.socket, announced: Announced, say: Callable[[str], None]) -> None:
    """Carry out a connection's lines until it closes or sends an invalid one, then withdraw its keys."""
    try:
        with connection, connection.makefile("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                obey(line, connection, announced)
    except (OSError, RegistryError) as error:
        say(f"A connection is closed: {error}")
    finally:
        announced.leave(connection)


def obey(line: bytes, owner: object, announced: Announced) -> None:
    """Carry out one line. Raise RegistryError when it is invalid."""
    try:
        ((verb, what),) = json.loads(line).items()
        if verb == "announce":
            announced.announce(owner, _key(what["key"]), _text(what["value"]))
        elif verb == "alive":
            announced.alive([_key(key) for key in what])
        elif verb == "withdraw":
            announced.withdraw(owner, _key(what))
        else:
            raise ValueError(verb)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"A line is not understood: {line[:80]!r}.") from error


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(key)
    return key


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value
