"""The proxy between nodes and etcd: a process that passes on what this receiver signed, and nothing else.

etcd itself listens on loopback alone: its access control has had holes in every version but the newest. The
proxy outlives the receiver and keeps no state.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nap_start
from registry import ports
from registry.certificates import Certificates
from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint, Secret, StoreSettings
from registry.images.program import Kept
from registry.node_proxy.access import NodeAccess
from registry.node_proxy.requests import USER, sign
from registry.node_proxy.server import NodeServer
from registry.processes import Detached, PidLock, tell_starter

SETTINGS, CERTIFICATES = Path("etcd.json"), Path("etcd", "tls")
LOG = Path("log", "node-proxy.log")
_KEPT, _LOCK = Path("node-proxy.json"), Path("node-proxy.lock")
_EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True)
class Door:
    """The proxy's `url` for nodes, the files of their certificates, and the signing key."""

    url: str
    files: Certificates
    secret: Secret

    def access(self) -> NodeAccess:
        """Return what nodes are sent once. Each announcement needs a `password` of its own as well."""
        ca, cert, key = map(str, (self.files.ca, self.files.cert("node"), self.files.key("node")))
        return NodeAccess.of(Endpoint(self.url, "v2", ca, cert, key, USER))

    def password(self, key: str, value: str) -> str:
        return sign(self.secret.value, key, value)


def start(
    home: Path, addresses: Sequence[str], say: Callable[[str], None], port: int = 0, version: str = ""
) -> Door:
    """Start the proxy in front of the etcd of `etcd.json`, unless it runs; return how nodes reach it.

    `addresses` (names or IPs, at least one) are this machine's for nodes, and are in its certificate already.
    A proxy with others, at another port than the wanted one, or of another version, is restarted. `port` 0 is
    the last port, or a free one. Raises RegistryError when the port is taken, or the proxy does not come up.
    """
    process, last = _process(home), _kept(home) or Kept.new()
    wanted = replace(last, addresses=tuple(addresses), port=port or last.port)
    if wanted != last:
        process.stop()
    if version:
        process.stop_other(version)
    with process.closed_door() as lock:
        if not lock.take():
            return _door(home, wanted)
        kept = replace(wanted, port=_port(wanted.port))
        kept.save(home / _KEPT)
        # The new process takes the lock itself; the door keeps others from starting one meanwhile.
        lock.release()
        command = nap_start.argv("registry.node_proxy.proxy", str(home))
        process.launch(command, dict(os.environ), None, version=version)
    say(f"nodes announce at {_door(home, kept).url}")
    return _door(home, kept)


def stop(home: Path) -> None:
    """End the proxy, if it runs, and wait until it has ended."""
    _process(home).stop()


def pid(home: Path) -> int | None:
    """Return its pid; None when it does not run."""
    return _process(home).pid()


def known(home: Path) -> Door | None:
    """Return how nodes reach it, whether it runs or not; None when it never did."""
    kept = _kept(home)
    return _door(home, kept) if kept else None


def _process(home: Path) -> Detached:
    return Detached("the proxy that nodes announce at", home / _LOCK, home / LOG)


def _kept(home: Path) -> Kept | None:
    return Kept.load(home / _KEPT) if (home / _KEPT).exists() else None


def _door(home: Path, kept: Kept) -> Door:
    host = f"[{kept.addresses[0]}]" if ":" in kept.addresses[0] else kept.addresses[0]
    return Door(f"https://{host}:{kept.port}", Certificates(home / CERTIFICATES), Secret(kept.secret))


def _port(wanted: int) -> int:
    """Return the wanted port, or for 0 a free one. Nodes and firewalls know it: a taken one is an error."""
    if wanted and not ports.is_free(_EVERYWHERE, wanted):
        hint = "End what listens there, or name another one: etcd.nodes.port"
        raise RegistryError(f"Port {wanted}, meant for what nodes announce, is taken.", hint)
    return wanted or ports.lasting(_EVERYWHERE)


def main() -> int:
    os.chdir(sys.argv[1])
    os.umask(0o077)
    lock = PidLock(_LOCK)
    if not lock.take():
        return 0
    lock.write(os.getpid())
    try:
        _serve(Kept.load(_KEPT), StoreSettings.load(SETTINGS))
    except (RegistryError, OSError) as error:
        print(f"It does not start: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(kept: Kept, settings: StoreSettings) -> None:
    files = Certificates(CERTIFICATES)
    server = NodeServer((_EVERYWHERE, kept.port), files, kept.secret, settings.keys.announced, SETTINGS)
    # `shutdown` waits for `serve_forever`, which runs in the thread of the signal handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    tell_starter()
    with server:
        server.serve_forever()
