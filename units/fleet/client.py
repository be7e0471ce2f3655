"""Fleet's HTTP API, over TCP or a Unix socket: units as they are wanted, their states, the machines.

See https://github.com/coreos/fleet/blob/master/Documentation/api-v1.md.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from units.errors import UnitError
from units.fleet.options import options
from units.job import UnitFile

Wanted = Literal["inactive", "loaded", "launched"]


@dataclass(frozen=True)
class Unit:
    """What fleet was told of a unit, and what it made of it; `machine` is "" while it is on none."""

    name: str
    wanted: str
    current: str
    machine: str


@dataclass(frozen=True)
class State:
    """A unit as a machine's systemd has it: `load` and `active` as systemctl names them."""

    name: str
    machine: str
    load: str
    active: str
    sub: str


@dataclass(frozen=True)
class Machine:
    id: str
    address: str
    metadata: Mapping[str, str]


class Client:
    """One cluster, at `http://HOST:PORT` or `unix:///PATH`. Every request has an end, in seconds.

    All methods raise UnitError when fleet does not answer, or refuses.
    """

    def __init__(self, url: str, within: float = 10.0) -> None:
        self._url = url
        self._connect = _connecting(url, within)

    def submit(self, unit: UnitFile, wanted: Wanted) -> None:
        """A new unit. UnitError when there is one of its name, which is left as it is."""
        # Fleet would take this for a word on the old one, and leave its options as they are.
        if self.unit(unit.name):
            raise UnitError(f"fleet has a unit {unit.name} already", f"fleetctl destroy {unit.name}")
        self._ask("PUT", _path(unit.name), {"desiredState": wanted, "options": options(unit)})

    def want(self, name: str, wanted: Wanted) -> None:
        """Of a unit that was submitted; UnitError when it is not there."""
        self._ask("PUT", _path(name), {"desiredState": wanted})

    def destroy(self, name: str) -> bool:
        """Whether it was there."""
        return self._ask("DELETE", _path(name), absent=404) is not None

    def unit(self, name: str) -> Unit | None:
        found = self._ask("GET", _path(name), absent=404)
        return _unit(found) if found else None

    def units(self) -> tuple[Unit, ...]:
        return tuple(map(_unit, self._pages("units", "units")))

    def states(self, name: str = "") -> tuple[State, ...]:
        """Of all units, or of one; a unit has none before it is on a machine."""
        only = {"unitName": name} if name else {}
        return tuple(map(_state, self._pages("state", "states", only)))

    def machines(self) -> tuple[Machine, ...]:
        return tuple(
            Machine(found["id"], found["primaryIP"], found.get("metadata") or {})
            for found in self._pages("machines", "machines")
        )

    def _pages(self, resource: str, key: str, only: Mapping[str, str] | None = None) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            query = urlencode({**(only or {}), **token})
            page = self._ask("GET", f"/{resource}{query and '?'}{query}") or {}
            yield from page.get(key) or ()
            if not page.get("nextPageToken"):
                return
            token = {"nextPageToken": page["nextPageToken"]}

    def _ask(self, method: str, path: str, body: Any = None, absent: int = 0) -> Any:
        """The answer's JSON, {} for one without; None when its status is `absent`."""
        connection = self._connect()
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, f"/fleet/v1{path}", body and json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == absent:
                return None
            if answer.status >= 300:
                raise UnitError(f"fleet refused {method} {path}: {_why(answer.status, said)}")
            return json.loads(said) if said else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnitError(f"fleet at {self._url} does not answer: {error}", "is fleetd up?") from error
        finally:
            connection.close()


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: Path, within: float) -> None:
        super().__init__("localhost", timeout=within)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connecting(url: str, within: float) -> Callable[[], http.client.HTTPConnection]:
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return lambda: _OverUnix(Path(parts.path), within)
    host, port = parts.hostname, parts.port
    if parts.scheme == "http" and host:
        return lambda: http.client.HTTPConnection(host, port, timeout=within)
    raise UnitError(f"{url!r} is no address of fleet", "http://HOST:PORT, or unix:///PATH")


def _path(name: str) -> str:
    return f"/units/{quote(name, safe='@')}"


def _why(status: int, said: bytes) -> str:
    try:
        return f"{json.loads(said)['error']['message']} ({status})"
    except (ValueError, KeyError, TypeError):
        return f"status {status}"


def _unit(found: Mapping[str, Any]) -> Unit:
    return Unit(
        found["name"], found["desiredState"], found.get("currentState", ""), found.get("machineID", "")
    )


def _state(found: Mapping[str, Any]) -> State:
    return State(
        found["name"],
        found["machineID"],
        found["systemdLoadState"],
        found["systemdActiveState"],
        found["systemdSubState"],
    )
