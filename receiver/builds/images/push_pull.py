"""Pushes images to the registry and pulls them from it, with retries; removes only nap's names of images.

To measure what a push adds to nap's own registry, call `registry.images.server.stored` before and after it.
"""

from __future__ import annotations

import json
import re
import select
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from receiver.errors import ReceiverError
from receiver.text.output import Activity, Command, Limits, Say, stream
from registry.errors import RegistryError
from registry.images.address import ImageRegistry
from units.oci.runtime import Runtime, last_line

_PUSH = Activity("the push of the image", "still pushing the image")
_PULL = Activity("the pull of the image", "still pulling the image")
# Seconds before each retry.
WAITS = (1, 3, 9)
# Docker prints this when it retries by itself, for a minute and whatever the reason: nap decides instead.
_PATIENCE_OF_DOCKER = "Retrying in"
_SECONDS = 1800.0
# Errors after which a retry would fail in the same way.
_FINAL = re.compile(
    r"unauthorized|authentication required|denied|x509|certificate|no space left|manifest unknown|not found"
    r"|HTTP response to HTTPS client|invalid reference",
    re.IGNORECASE,
)
# The failed request, as Podman quotes it: some hundred characters without use to the reader.
_REQUEST = re.compile(r'\w+ "https?://[^"]*": ')
T = TypeVar("T")


@dataclass(frozen=True)
class Shipping:
    """The two ends of a transfer, and its limits.

    `cancelled` is a file descriptor that becomes readable on cancellation, None when nothing can cancel.
    `seconds` is the timeout of one try.
    """

    runtime: Runtime
    registry: ImageRegistry
    say: Say
    cancelled: int | None = None
    seconds: float = _SECONDS


def push(via: Shipping, image: str, repository: str, tag: str) -> str:
    """Push the local `image` as `repository:tag`; return its digest in the registry, `sha256:...`.

    Afterwards `registry.reference(repository, digest)` can run from the local store. Raises RegistryError or
    ReceiverError, and UnitError when the image cannot be tagged; the registry keeps what it held before.
    """
    target = via.registry.tagged(repository, tag)
    via.runtime.ask("tag", image, target)
    digest = _patiently(via, lambda: _push(via, target))
    if via.runtime.kind == "podman":
        # Podman knows the image by the digest of its local manifest, which differs from the pushed one.
        _patiently(via, lambda: _pull(via, via.registry.reference(repository, digest)))
    return digest


def pull(via: Shipping, reference: str) -> None:
    """Pull the image of this reference, unless the local store has it. RegistryError or ReceiverError."""
    if not via.runtime.has(reference):
        via.say(f"pulling {reference}")
        _patiently(via, lambda: _pull(via, reference, ask=True))


def forget(runtime: Runtime, reference: str) -> None:
    """Remove nap's names of an image from the local store: `NAME@sha256:...` and the tags of NAME.

    The image is removed with its last name. It stays while a container uses it or others have named it.
    Hence no `--force`, with which Podman would remove the container too.
    """
    told = runtime.run("image", "inspect", "--format", "{{json .RepoTags}}", reference)
    if told.returncode:
        return
    name = reference.partition("@")[0]
    tags = [tag for tag in json.loads(told.stdout) or () if tag.rpartition(":")[0] == name]
    for each in (*tags, reference):
        runtime.run("rmi", each)


def forget_leftovers(runtime: Runtime, label: str, age: str = "1h") -> None:
    """Remove, without a prompt, the unnamed images with `label` that builds have left.

    Images younger than `age` stay: a running build can still use them.
    """
    runtime.run("image", "prune", "--force", "--filter", f"label={label}", "--filter", f"until={age}")


def _patiently(via: Shipping, attempt: Callable[[], T]) -> T:
    """Return the result of `attempt`. Retry it, after each of `WAITS`, when its RegistryError allows that."""
    for wait in WAITS:
        try:
            return attempt()
        except RegistryError as error:
            if not error.retry:
                raise
            via.say(f"{error.message}: trying again in {wait} s")
            _pause(via, wait)
    return attempt()


def _pause(via: Shipping, seconds: float) -> None:
    if via.cancelled is not None and select.select([via.cancelled], [], [], seconds)[0]:
        raise ReceiverError(f"{_PUSH.name} was cancelled")
    if via.cancelled is None:
        select.select([], [], [], seconds)


def _push(via: Shipping, target: str) -> str:
    """Push once and return the digest."""
    _ask(via.registry)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "digest"
        podman = via.runtime.kind == "podman"
        options = (*via.runtime.registry_flags, "--digestfile", str(file)) if podman else ()
        lines = _run(via, _PUSH, "push", *options, target)
        said = file.read_text() if podman else "\n".join(lines)
    found = re.findall(r"sha256:[0-9a-f]{64}", said)
    if not found:
        raise RegistryError(f"{via.runtime.kind} does not say what {target} became", "see: nap doctor")
    return str(found[-1])


def _pull(via: Shipping, reference: str, ask: bool = False) -> None:
    """Pull once, after a ping of the registry if `ask`."""
    if ask:
        _ask(via.registry)
    _run(via, _PULL, "pull", "--quiet", *via.runtime.registry_flags, reference)


def _ask(registry: ImageRegistry) -> None:
    """Ping the registry first: its own error is clearer than the runtime's, and comes at once."""
    from registry.images.client import RegistryClient

    RegistryClient(registry).ping()


def _run(via: Shipping, activity: Activity, verb: str, *words: str) -> list[str]:
    """Run the client and return its last 20 lines.

    RegistryError, with the very last line, when it fails; ReceiverError on timeout or cancellation.
    """
    runtime, lines = via.runtime, deque[str](maxlen=20)

    def hear(line: str) -> None:
        lines.append(line)
        if line.startswith("... "):
            via.say(line)
        if _PATIENCE_OF_DOCKER in line:
            raise _failure(via, verb, words[-1], "the registry failed in the middle of it")

    argv = runtime.command(verb, *words)
    limits = Limits.of(via.seconds, via.cancelled)
    code = stream(Command(argv, Path("/"), runtime.env), hear, limits, activity)
    if code == 0:
        return list(lines)
    said = _REQUEST.sub("", last_line("\n".join(lines)).removeprefix("Error: "))
    raise _failure(via, verb, words[-1], said)


def _failure(via: Shipping, verb: str, image: str, said: str) -> RegistryError:
    hint = (
        _hint(via, said) or via.runtime.hint(said) or "nap doctor tries it; the registry's log has the reason"
    )
    sentence = f"{image} cannot be {verb}ed by {via.runtime.kind}: {said}"
    return RegistryError(sentence, hint, retry=not _FINAL.search(said))


def _hint(via: Shipping, said: str) -> str:
    """Return how to configure Docker's daemon, which reads neither nap's settings nor client options."""
    host = via.registry.host
    if via.runtime.kind == "docker" and "x509" in said:
        return f"Docker wants the authority's certificate in /etc/docker/certs.d/{host}/ca.crt"
    if via.runtime.kind == "docker" and "HTTP response to HTTPS client" in said:
        return f'Docker wants "insecure-registries": ["{host}"] in /etc/docker/daemon.json, and a restart'
    return ""
