"""nap's own registry of images: one process for each folder, which outlives the process that started it.

It listens on loopback alone. `stored(folder)` is the size of all blobs: the difference of two calls is what a
push has added.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from registry import ports
from registry.errors import RegistryError
from registry.etcd.endpoint import Secret
from registry.images import program as image_program
from registry.images.address import ImageRegistry
from registry.images.program import Kept
from registry.processes import START, Detached, version_of

HOST = "127.0.0.1"
USER = "nap"
_KEPT = "registry.json"


def start(folder: Path, log: Path, say: Callable[[str], None], port: int = 0) -> ImageRegistry:
    """Start a registry with its files in `folder`, unless it runs; return its address and login.

    One that runs as another program, or with other settings, is restarted. `port` 0 is the last port, or a
    free one. Raises RegistryError when the port is taken, when this machine has no registry, and when it does
    not come up.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    process, program = _process(folder, log), image_program.binary()
    if (folder / _KEPT).exists():
        process.stop_other(_version(program, folder))
    with process.closed_door() as lock:
        if not lock.take():
            return _registry(Kept.load(folder / _KEPT))
        kept = _keep(folder, port)
        log.unlink(missing_ok=True)
        _collect_garbage(program, folder, say)
        registry = _registry(kept)
        command = [program, "serve", str(folder / "config.yml")]
        process.launch(
            command, image_program.environment(), lock, lambda: answers(registry), _version(program, folder)
        )
    say(f"a registry of images is up on {registry.name}, its files are in {folder}")
    return registry


def stop(folder: Path, log: Path) -> None:
    """End the registry of `folder`, if it runs, and wait until it has ended."""
    _process(folder, log).stop()


def pid(folder: Path) -> int | None:
    """Return the pid of the registry of `folder`; None when none runs."""
    return _process(folder, folder / "log").pid()


def known(folder: Path) -> ImageRegistry | None:
    """Return address and login of the registry of `folder`, whether it runs or not; None if it never did."""
    return _registry(Kept.load(folder / _KEPT)) if (folder / _KEPT).exists() else None


def stored(folder: Path) -> int:
    """Return the size in bytes of all blobs in the registry of `folder`."""
    stored = blobs(folder) / "docker" / "registry" / "v2" / "blobs"
    return sum(path.stat().st_size for path in stored.rglob("data"))


def configuration(folder: Path, kept: Kept) -> dict[str, dict[str, object]]:
    """Return the server's settings: a client with the password can do everything, deletion included."""
    settings = image_program.configuration(
        blobs(folder), f"{HOST}:{kept.port}", kept.secret, folder / "htpasswd"
    )
    settings["storage"] |= {"cache": {"blobdescriptor": "inmemory"}, "delete": {"enabled": True}}
    return settings


def blobs(folder: Path) -> Path:
    """Return the folder with everything that was pushed to the registry of `folder`."""
    return folder / "data"


def _process(folder: Path, log: Path) -> Detached:
    return Detached("the registry of images", folder / "registry.lock", log)


def _registry(kept: Kept) -> ImageRegistry:
    """Return its address, without TLS: it is on loopback, where Docker does not insist on TLS either."""
    return ImageRegistry(f"{HOST}:{kept.port}", insecure=True, user=USER, password=Secret(kept.password))


def _version(program: str, folder: Path) -> str:
    """Return the version of its program and settings. Its files must exist."""
    return version_of(program, configuration(folder, Kept.load(folder / _KEPT)))


def _keep(folder: Path, port: int) -> Kept:
    """Write all files that the server reads. The password stays the same; so does the port for `port` 0."""
    saved = folder / _KEPT
    last = Kept.load(saved) if saved.exists() else Kept.new()
    kept = replace(last, port=_port(port or last.port))
    if kept != last:
        kept.save(saved)
    image_program.write_configuration(folder / "config.yml", configuration(folder, kept))
    image_program.write_login(folder / "htpasswd", USER, kept.password)
    return kept


def _port(wanted: int) -> int:
    """Return the wanted port, or for 0 a free one. Images' names contain it: a taken one is an error."""
    if wanted and not ports.is_free(HOST, wanted):
        raise RegistryError(
            f"Port {wanted} of {HOST}, meant for the registry of images, is taken.",
            "End what listens there, or name another one: registry.port (images are built again then)",
        )
    return wanted or ports.lasting(HOST)


def answers(registry: ImageRegistry) -> bool:
    """Return whether the registry answers and accepts the login."""
    from registry.images.client import RegistryClient

    try:
        RegistryClient(registry).ping()
    except RegistryError:
        return False
    return True


def _collect_garbage(program: str, folder: Path, say: Callable[[str], None]) -> None:
    """Remove blobs of deleted images. Only while the server is down: a push could lose blobs."""
    if not blobs(folder).is_dir():
        return
    command = [program, "garbage-collect", str(folder / "config.yml")]
    env = image_program.environment()
    try:
        subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=10 * START
        )
    except subprocess.SubprocessError as error:
        say(f"what was deleted from the registry of images still takes room: {error}")
