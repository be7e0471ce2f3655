"""The script and settings with which a node announces a unit in etcd, using a shell and curl.

The files of a folder hold secrets: only their owner may read them, mode 0600 in a folder of mode 0700.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from units import quoting
from units.job import UnitFile

SCRIPT = "discovery.sh"
# Seconds: curl's limits for a whole request, and for connecting.
_ANSWER, _CONNECT = 5, 3
# Seconds between two checks of a unit that is not up yet.
_SOON = 0.2

Api = Literal["v2", "v3"]
Option = tuple[str, str]


@dataclass(frozen=True)
class Etcd:
    """How nodes access etcd. `ca`, `cert` and `key` are PEM texts, "" for none.

    `sign`, if set, makes a password that is valid for one key and value only, one for each announcement.
    """

    url: str
    api: Api
    ca: str = ""
    cert: str = ""
    key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    sign: Callable[[str, str], str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Announcement:
    """A `value` kept at `key` while the shell script `check` succeeds. Times are in seconds."""

    key: str
    value: str
    check: str
    ttl: int = 60
    refresh: float = 20
    retry: float = 10


def script() -> UnitFile:
    """Return the announcer's script, the same for all units. It is run as `sh discovery.sh FOLDER`."""
    return UnitFile(SCRIPT, Path(__file__).with_name("shell").joinpath(SCRIPT).read_text())


def folder(announcement: Announcement, etcd: Etcd) -> tuple[UnitFile, ...]:
    """Return the files of FOLDER. The same announcement and etcd give the same bytes."""
    if etcd.sign:
        etcd = replace(etcd, password=etcd.sign(announcement.key, announcement.value))
    pace = f"{announcement.refresh:g} {announcement.retry:g} {_SOON:g}\n"
    texts = {"api": f"{etcd.api}\n", "pace": pace, "check": announcement.check}
    texts |= {name: text for name, text in _pem_files(etcd).items() if text}
    requests = _v2(announcement, etcd) if etcd.api == "v2" else _v3(announcement, etcd)
    configs = {"curl": _always(etcd), **requests}
    texts |= {name: _config(options) for name, options in configs.items()}
    return tuple(UnitFile(name, text) for name, text in texts.items())


def while_running(runtime: str, container: str) -> str:
    """Return a check that the container runs and is not paused. `runtime` is podman's or docker's program."""
    inspect = [runtime, "container", "inspect", "--format", "{{.State.Status}}", container]
    return f'[ "$({shlex.join(inspect)})" = running ]\n'


def while_greeting(address: str, port: int) -> str:
    """Return a check that an sshd answers: it sends its version whatever the client sends, here HTTP."""
    url = f"http://{address}:{port}/"
    return f"curl -q --silent --http0.9 --noproxy '*' --max-time 3 {url} | grep -q '^SSH-2'\n"


def while_taking(address: str, port: int) -> str:
    """Return a check that a connection is accepted. No request is sent, so the process logs none."""
    ask = "curl -q --silent --output /dev/null --noproxy '*' --connect-timeout 1 --max-time 0.2"
    told = f"{ask} --write-out '%{{remote_port}}' telnet://{address}:{port} </dev/null"
    return f'[ "$({told})" = {port} ]\n'


def _pem_files(etcd: Etcd) -> dict[str, str]:
    return {"ca.crt": etcd.ca, "node.crt": etcd.cert, "node.key": etcd.key}


def _always(etcd: Etcd) -> list[Option]:
    options = [
        ("silent", ""),
        ("show-error", ""),
        ("output", "answer"),
        ("write-out", "%{http_code}"),
        ("connect-timeout", str(_CONNECT)),
        ("max-time", str(_ANSWER)),
        ("noproxy", "*"),
    ]
    names = zip(("cacert", "cert", "key"), _pem_files(etcd).items(), strict=True)
    options += [(option, name) for option, (name, text) in names if text]
    if etcd.api == "v2" and etcd.user:
        options.append(("user", f"{etcd.user}:{etcd.password}"))
    return options


def _v2(announcement: Announcement, etcd: Etcd) -> dict[str, list[Option]]:
    """Return curl's options for each request of https://etcd.io/docs/v2.3/api/ by name."""
    value, ttl = announcement.value, f"ttl={announcement.ttl}"
    put = [("url", f"{etcd.url}/v2/keys{quote(announcement.key)}"), ("request", "PUT")]
    if_mine = ("data-urlencode", f"prevValue={value}")
    write = [*put, ("data", ttl), ("data-urlencode", f"value={value}")]
    return {
        "put": write,
        "create": [*write, ("data", "prevExist=false")],
        "refresh": [*put, ("data", ttl), ("data", "refresh=true"), if_mine],
        "remove": [put[0], ("request", "DELETE"), ("get", ""), if_mine],
    }


def _v3(announcement: Announcement, etcd: Etcd) -> dict[str, list[Option]]:
    """Return curl's options for requests of https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/ by name."""
    key = _binary(announcement.key)
    lease = {"ID": str(_lease(announcement))}
    put = {"key": key, "value": _binary(announcement.value), "lease": lease["ID"]}
    gone = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
    bodies: dict[str, tuple[str, object]] = {
        "grant": ("lease/grant", {**lease, "TTL": str(announcement.ttl)}),
        "keepalive": ("lease/keepalive", lease),
        "put": ("kv/put", put),
        "create": ("kv/txn", {"compare": [gone], "success": [{"request_put": put}]}),
        "revoke": ("lease/revoke", lease),
    }
    if etcd.user:
        bodies["login"] = ("auth/authenticate", {"name": etcd.user, "password": etcd.password})
    return {
        name: [("url", f"{etcd.url}/v3/{path}"), ("data", json.dumps(body))]
        for name, (path, body) in bodies.items()
    }


def _lease(announcement: Announcement) -> int:
    """Return the announcement's own lease ID, from 1 to 2^63 - 1. etcd accepts an ID chosen by the client.

    The ttl is part of the hash because a lease keeps the ttl that it was granted with.
    """
    said = f"{announcement.key}\n{announcement.value}\n{announcement.ttl}".encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big") % (2**63 - 1) + 1


def _binary(text: str) -> str:
    return b64encode(text.encode()).decode()


def _config(options: Iterable[Option]) -> str:
    """Return a file for `curl --config`: one option per line, with its value, if any, in double quotes."""
    return "".join(f"{name} = {quoting.curl(value)}\n" if value else f"{name}\n" for name, value in options)
