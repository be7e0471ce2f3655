"""The base image of stacks: one that the settings name, or one made from Debian's packages."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from pathlib import Path

from buildpacks.stacks import debian_base
from receiver.errors import ReceiverError
from receiver.text.heartbeat import told
from receiver.text.output import Activity, Command, Limits, Say, indented, stream
from registry.images.address import ImageRegistry
from units.oci.runtime import Runtime

_LABEL = "nap.stack=base"
# Seconds: mmdebstrap has file systems mounted while it works, and unmounts them when it is terminated.
_CLEANS_UP_WITHIN = 20.0
_MAKING = Activity("the base image", "still making the base image from Debian's packages")
_IMPORT_SECONDS = 600.0
_FAILED = "try it by hand, or name a Debian image in the settings: containers.base"


def name(base: str) -> str:
    """Return the name of the base image for a Dockerfile's FROM. `base` is the setting."""
    return base or f"localhost/nap_base:{debian_base.key()}"


def is_there(runtime: Runtime, base: str) -> bool:
    return runtime.run("image", "inspect", "--format", "{{.Id}}", name(base)).returncode == 0


def make(runtime: Runtime, registry: ImageRegistry, base: str, say: Say, seconds: float) -> None:
    """Pull the base image that the settings name, or make one from today's packages (in half a minute).

    Each command has `seconds` at most, the import 600 s.

    Raises:
        ReceiverError: mmdebstrap is missing, or fails; `say` then got its last lines.
        UnitError: the runtime cannot pull or import the image.
    """
    if base:
        say(f"       pulling {base}")
        # The flags for nap's registry, such as no TLS, must not apply to other registries.
        flags = runtime.registry_flags if registry.names(base) else ()
        with told(indented(say), "still pulling it"):
            runtime.ask("pull", "--quiet", *flags, base, seconds=seconds)
        return
    if shutil.which("mmdebstrap") is None:
        raise ReceiverError(
            "stacks need a Debian base image, and mmdebstrap, which makes one, is not on this machine",
            "apt-get install mmdebstrap, or name an image in the settings: containers.base",
        )
    say("       making the base image from Debian's packages")
    with tempfile.TemporaryDirectory(prefix="nap-base-") as folder:
        archive = Path(folder) / "base.tar"
        _bootstrap(archive, say, seconds)
        change = ("--change", f"LABEL {_LABEL}")
        runtime.ask("import", *change, str(archive), name(""), seconds=_IMPORT_SECONDS)


def _bootstrap(archive: Path, say: Say, seconds: float) -> None:
    """Run mmdebstrap. Its heartbeats are shown, but its own lines only when it fails."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    lines = deque[str](maxlen=30)

    def hear(line: str) -> None:
        lines.append(line)
        if line.startswith("... "):
            say(f"       {line}")

    argv = debian_base.command(mode, archive)
    code = stream(
        Command(argv, Path("/"), _environment()), hear, Limits.of(seconds), _MAKING, _CLEANS_UP_WITHIN
    )
    if code:
        for line in lines:
            say(f"       {line}")
        raise ReceiverError(f"mmdebstrap ended with {code}: there is no base image for the stacks", _FAILED)


def _environment() -> dict[str, str]:
    """Return this environment with /usr/sbin on PATH: mmdebstrap runs tools that are there."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path}
