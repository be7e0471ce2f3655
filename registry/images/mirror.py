"""nap's own registry of images for nodes: a second process over the same blobs, which only reads.

It listens on all interfaces, with TLS and a password of its own. Images cannot be changed or removed
through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from registry import ports
from registry.certificates import Certificates
from registry.errors import RegistryError
from registry.etcd.endpoint import Secret
from registry.images import program as image_program
from registry.images import server
from registry.images.address import ImageRegistry
from registry.images.program import Kept
from registry.processes import Detached, version_of

USER = "nodes"
_EVERYWHERE = "0.0.0.0"
_KEPT = "nodes.json"


def start(
    folder: Path, log: Path, certificates: Certificates, addresses: Sequence[str], say: Callable[[str], None],
    port: int = 0,
) -> ImageRegistry:  # fmt: skip
    """Serve the images in the registry of `folder` to nodes; return its address and login for them.

    `addresses` (names or IPs, at least one) are this machine's for nodes, and are in the certificate.
    Idempotent: a server with other addresses, or of another program, is restarted. `port` 0 is the last port,
    or a free one. Raises RegistryError as `server.start` does.
    """
    process, path, program = _process(folder, log), folder / _KEPT, image_program.binary()
    if path.exists():
        if Kept.load(path).addresses != tuple(addresses):
            process.stop()
        process.stop_other(_version(program, folder, certificates))
    with process.closed_door() as lock:
        if not lock.take():
            return _registry(Kept.load(path), certificates)
        kept = _keep(folder, port, certificates, tuple(addresses))
        log.unlink(missing_ok=True)
        registry = _registry(kept, certificates)
        here = replace(registry, host=f"{server.HOST}:{kept.port}")
        command = [program, "serve", str(folder / "nodes.yml")]
        process.launch(
            command, image_program.environment(), lock, lambda: server.answers(here),
            _version(program, folder, certificates),
        )  # fmt: skip
    say(f"nodes find images at {registry.name}")
    return registry


def stop(folder: Path, log: Path) -> None:
    """End the server, if it runs, and wait until it has ended."""
    _process(folder, log).stop()


def pid(folder: Path) -> int | None:
    """Return its pid; None when it does not run."""
    return _process(folder, folder / "log").pid()


def known(folder: Path, certificates: Certificates) -> ImageRegistry | None:
    """Return its address and login for nodes, whether it runs or not; None when it never did."""
    path = folder / _KEPT
    return _registry(Kept.load(path), certificates) if path.exists() else None


def _process(folder: Path, log: Path) -> Detached:
    return Detached("the registry of images for nodes", folder / "nodes.lock", log)


def _registry(kept: Kept, certificates: Certificates) -> ImageRegistry:
    address = f"[{kept.addresses[0]}]" if ":" in kept.addresses[0] else kept.addresses[0]
    return ImageRegistry(
        f"{address}:{kept.port}", ca=str(certificates.ca), user=USER, password=Secret(kept.password)
    )


def _version(program: str, folder: Path, certificates: Certificates) -> str:
    """Return the version of its program and settings. Its files must exist."""
    return version_of(program, configuration(folder, Kept.load(folder / _KEPT), certificates))


def _keep(folder: Path, port: int, certificates: Certificates, addresses: tuple[str, ...]) -> Kept:
    """Write all files that the server reads. The password stays the same; so does the port for `port` 0."""
    path = folder / _KEPT
    last = Kept.load(path) if path.exists() else Kept.new()
    kept = replace(last, port=_port(port or last.port), addresses=addresses)
    if kept != last:
        kept.save(path)
    image_program.write_configuration(folder / "nodes.yml", configuration(folder, kept, certificates))
    image_program.write_login(folder / "nodes.htpasswd", USER, kept.password)
    return kept


def configuration(folder: Path, kept: Kept, certificates: Certificates) -> dict[str, dict[str, object]]:
    """Return the server's settings: read-only, and without a cache, as the other process removes blobs."""
    settings = image_program.configuration(
        server.blobs(folder), f"{_EVERYWHERE}:{kept.port}", kept.secret, folder / "nodes.htpasswd"
    )
    settings["storage"]["maintenance"] = {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}}
    settings["http"]["tls"] = {
        "certificate": str(certificates.cert("images")),
        "key": str(certificates.key("images")),
        "minimumtls": "tls1.2",
    }
    return settings


def _port(wanted: int) -> int:
    """Return the wanted port, or for 0 a free one. Nodes and firewalls know it: a taken one is an error."""
    if wanted and not ports.is_free(_EVERYWHERE, wanted):
        raise RegistryError(
            f"Port {wanted}, meant for the images that nodes fetch, is taken.", "End what listens there."
        )
    return wanted or ports.lasting(_EVERYWHERE)
