"""A client of fleet's HTTP API, over TCP or a Unix socket: units with their desired states, and machines.

See https://github.com/coreos/fleet/blob/master/Documentation/api-v1.md.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from units.errors import UnitError
from units.fleet.options import options
from units.job import UnitFile

Wanted = Literal["inactive", "loaded", "launched"]
Connecting = Callable[[], http.client.HTTPConnection]
# Seconds: timeouts of an answer and of a connection, and the time before a request is retried.
_ANSWERS_WITHIN, _CONNECTS_WITHIN, _AGAIN = 10.0, 3.0, 0.5
_AWAY = "is the etcd up that it works with?"


@dataclass(frozen=True)
class FleetUnit:
    """A unit with its desired state, `wanted`. `machine` is "" while it is on none.

    The state that fleet reports is not read: a machine that had a unit of that name before can erase it.
    """

    name: str
    wanted: str
    machine: str


@dataclass(frozen=True)
class FleetMachine:
    id: str
    address: str
    metadata: Mapping[str, str]


class Unanswered(UnitError):
    """Fleet does not answer, or cannot do the request now, as when its etcd is down. Retrying can help."""


class FleetClient:
    """One cluster, at `http://HOST:PORT` or `unix:///PATH`; of several `urls`, the first that answers.

    Every request has a timeout, and is retried for `patience` seconds while fleet does not answer: all are
    idempotent. All methods raise UnitError when fleet refuses, or still does not answer after that.
    """

    def __init__(self, urls: Sequence[str], patience: float = 0.0) -> None:
        self._members = [(url, _connecting(url)) for url in urls]
        self._patience = patience

    def submit(self, unit: UnitFile, wanted: Wanted) -> None:
        """Submit a new unit, over one of the same name."""
        self._ask("PUT", _path(unit.name), {"desiredState": wanted, "options": options(unit)})

    def want(self, name: str, wanted: Wanted) -> None:
        """Set the desired state of a submitted unit. Raise UnitError when there is no such unit."""
        self._ask("PUT", _path(name), {"desiredState": wanted})

    def destroy(self, name: str) -> bool:
        """Destroy a unit. Return whether there was one."""
        return self._ask("DELETE", _path(name), mark_away=404) is not None

    def units(self) -> tuple[FleetUnit, ...]:
        return tuple(map(_unit, self._pages("units", "units")))

    def machines(self) -> tuple[FleetMachine, ...]:
        return tuple(
            FleetMachine(found["id"], found["primaryIP"], found.get("metadata") or {})
            for found in self._pages("machines", "machines")
        )

    def _pages(self, resource: str, key: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            query = urlencode(token)
            page = self._ask("GET", f"/{resource}{query and '?'}{query}") or {}
            yield from page.get(key) or ()
            if not page.get("nextPageToken"):
                return
            token = {"nextPageToken": page["nextPageToken"]}

    def _ask(self, method: str, path: str, body: Any = None, mark_away: int = 0) -> Any:
        """Return the answer's JSON, {} for an empty one; None when its status is `mark_away`."""
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._ask_each(method, path, body, mark_away)
            except Unanswered:
                if time.monotonic() > end:
                    raise
            time.sleep(_AGAIN)

    def _ask_each(self, method: str, path: str, body: Any, mark_away: int) -> Any:
        """Try the members in turn. The one that answers is tried first from then on."""
        errors = []
        for member in list(self._members):
            try:
                found = _ask(*member, method, path, body, mark_away)
            except Unanswered as error:
                errors.append(error)
                continue
            self._members = [member, *(one for one in self._members if one is not member)]
            return found
        raise errors[0]


def _ask(url: str, connect: Connecting, method: str, path: str, body: Any, mark_away: int) -> Any:
    connection = connect()
    headers = {"Content-Type": "application/json"} if body else {}
    try:
        connection.connect()
        connection.sock.settimeout(_ANSWERS_WITHIN)
        connection.request(method, f"/fleet/v1{path}", body and json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == mark_away:
            return None
        if answer.status >= 500:
            raise Unanswered(f"fleet at {url} failed at {method} {path}: {_why(answer.status, said)}", _AWAY)
        if answer.status >= 300:
            raise UnitError(f"fleet refused {method} {path}: {_why(answer.status, said)}")
        return json.loads(said) if said else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unanswered(f"fleet at {url} does not answer: {error}", "is fleetd up?") from error
    finally:
        connection.close()


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CONNECTS_WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connecting(url: str) -> Connecting:
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return lambda: _OverUnix(Path(parts.path))
    host, port = parts.hostname, parts.port
    if parts.scheme == "http" and host:
        return lambda: http.client.HTTPConnection(host, port, timeout=_CONNECTS_WITHIN)
    raise UnitError(f"{url!r} is no address of fleet", "http://HOST:PORT, or unix:///PATH")


def _path(name: str) -> str:
    return f"/units/{quote(name, safe='@')}"


def _why(status: int, said: bytes) -> str:
    try:
        message = json.loads(said)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = ""
    return f"{message} ({status})" if message else f"status {status}"


def _unit(found: Mapping[str, Any]) -> FleetUnit:
    return FleetUnit(found["name"], found["desiredState"], found.get("machineID", ""))
