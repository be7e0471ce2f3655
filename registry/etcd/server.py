"""The embedded etcd: one process for each folder, which outlives the process that started it.

It listens on loopback alone, and serves clients with a certificate of the home's CA. Nodes reach it through
a process that checks their requests: `registry.node_proxy.proxy`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from registry import ports
from registry.errors import RegistryError
from registry.etcd import program as etcd_program
from registry.etcd.endpoint import Endpoint, StoreSettings
from registry.etcd.program import Program
from registry.files import remove, write_private
from registry.processes import Detached, Died, PidLock, version_of

HOST = "127.0.0.1"
ENDPOINT = "endpoint.json"
CERTIFICATES = "tls"
# The file with the minor version that wrote the data. Before there was such a file, this was always etcd 3.5.
VERSION, _FIRST = "version", "3.5"
# Files of an etcd that nodes reached directly. The endpoint is removed last: the user in it marks such an
# etcd, also after a crash in between.
_OPEN = ("addresses.json", "nodes.json", ENDPOINT)


def start(folder: Path, say: Callable[[str], None], port: int = 0) -> Endpoint:
    """Start etcd with its files in `folder`, unless it runs; return the receiver's endpoint.

    One that runs as another program, or with other settings, is restarted, and damaged files are replaced.
    `port` 0 is the last port, or a free one. Raises RegistryError when `port` is taken, when this machine has
    no etcd, and when it does not come up.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    process, program = _process(folder), etcd_program.newest()
    _close(folder, process)
    process.stop_other(_version(program, folder))
    if not _certified(folder):
        process.stop()
    with process.closed_door() as lock:
        if not lock.take():
            return _saved(folder)
        endpoint = _launch(folder, program, process, lock, port, say)
    say(f"etcd is up on {endpoint.url}, its files are in {folder}")
    return endpoint


def stop(folder: Path) -> None:
    """End the etcd of `folder`, if it runs, and wait until it has ended."""
    _process(folder).stop()


def pid(folder: Path) -> int | None:
    """Return the pid of the etcd of `folder`; None when none runs."""
    return _process(folder).pid()


def argv(program: Program, folder: Path, port: int) -> list[str]:
    """Return etcd's command line: little history, TLS with client certificates, and no secret in it."""
    peer = f"https://{HOST}:0"
    command = [program.path, "--name", "nap", "--data-dir", str(folder / "data")]
    command += ["--listen-client-urls", _url(port), "--advertise-client-urls", _url(port)]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"nap={peer}"]
    for whom in ("", "peer-"):
        command += [f"--{whom}cert-file", str(folder / CERTIFICATES / "server.crt")]
        command += [f"--{whom}key-file", str(folder / CERTIFICATES / "server.key")]
        command += [f"--{whom}trusted-ca-file", str(folder / CERTIFICATES / "ca.crt")]
        command += [f"--{whom}client-cert-auth"]
    command += ["--auto-compaction-mode", "revision", "--auto-compaction-retention", "10000"]
    command += ["--snapshot-count", "10000", "--max-snapshots", "2", "--max-wals", "2"]
    # A single member need not wait long for others before it elects itself: it is up in 0.4 s, not 1.2 s.
    command += ["--heartbeat-interval", "50", "--election-timeout", "250"]
    # "warn" logs a line for each request to the v3 gateway that comes with a certificate.
    command += ["--log-level", "error"]
    return [*command, "--enable-v2"] if program.serves_v2 else command


def _process(folder: Path) -> Detached:
    return Detached("etcd", folder / "etcd.lock", folder / "etcd.log")


def authority_file(folder: Path) -> Path:
    """Return the path of the CA's certificate for the etcd of `folder` and its clients."""
    return folder / CERTIFICATES / "ca.crt"


def authority(folder: Path) -> bytes:
    file = authority_file(folder)
    return file.read_bytes() if file.is_file() else b""


def _certified(folder: Path) -> bool:
    """Return whether etcd and the receiver can still trust each other's certificates."""
    from registry import certificates

    return certificates.are_good(folder / CERTIFICATES)


def _launch(
    folder: Path, program: Program, process: Detached, lock: PidLock, port: int, say: Callable[[str], None]
) -> Endpoint:
    from registry import certificates

    files = certificates.ensure(folder / CERTIFICATES)
    endpoint = Endpoint(
        _url(_port(folder, port)), "v2", str(files.ca), str(files.cert("client")), str(files.key("client"))
    )
    StoreSettings(endpoint).save(folder / ENDPOINT)
    _begin_anew(folder, etcd_program.text(program.version).rpartition(".")[0])
    process.log.unlink(missing_ok=True)
    command, version = argv(program, folder, endpoint.port), _version(program, folder)
    had_data = (folder / "data").exists()
    try:
        process.launch(command, _environment(), lock, version=version)
    except Died as error:
        if not had_data:
            raise
        say(f"{error.message} It begins anew without what it had: history is kept elsewhere")
        remove(folder / "data")
        process.launch(command, _environment(), lock, version=version)
    return endpoint


def _version(program: Program, folder: Path) -> str:
    """Return the version of its program and command line, without the port, which stays the same."""
    return version_of(program.path, argv(program, folder, 0))


def _begin_anew(folder: Path, version: str) -> None:
    """Remove data that another minor version wrote: not every version reads it; live keys are put again."""
    file = folder / VERSION
    if version != (file.read_text() if file.exists() else _FIRST):
        shutil.rmtree(folder / "data", ignore_errors=True)
    write_private(file, version.encode())


def _close(folder: Path, process: Detached) -> None:
    """End an etcd that nodes reach directly, as in older versions of nap, and remove its users and data."""
    if (folder / ENDPOINT).exists() and _is_open_or_damaged(folder):
        process.stop()
        for name in ("data", *_OPEN):
            remove(folder / name)


def _is_open_or_damaged(folder: Path) -> bool:
    """Return whether the etcd has users, or its settings are unreadable: then their passwords are lost."""
    try:
        return bool(_saved(folder).user)
    except RegistryError:
        return True


def _saved(folder: Path) -> Endpoint:
    return StoreSettings.load(folder / ENDPOINT).endpoint


def _url(port: int) -> str:
    return f"https://{HOST}:{port}"


def _port(folder: Path, wanted: int) -> int:
    """Return a free port: the wanted one, the last one, or any. Raise RegistryError if `wanted` is taken."""
    port = wanted or (_saved(folder).port if (folder / ENDPOINT).exists() else 0)
    if port and ports.is_free(HOST, port):
        return port
    if wanted:
        hint = "End what listens there, or name another one: etcd.port"
        raise RegistryError(f"Port {port} of {HOST}, meant for etcd, is taken.", hint)
    return ports.fleeting(HOST)


def _environment() -> dict[str, str]:
    """Return our environment without the variables that etcd would take as settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
