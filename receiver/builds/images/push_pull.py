"""Images go to the registry and come from it, with some patience; only nap's names are taken away again.

How much a push has sent is what nap's own registry stores more than before: `registry.images.server.stored`.
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
# Seconds before the second try, and those after it.
WAITS = (1, 3, 9)
# Docker would try again for a minute by itself, without a look at what is wrong.
_PATIENCE_OF_DOCKER = "Retrying in"
_SECONDS = 1800.0
# After these words the same try would end the same way.
_FINAL = re.compile(
    r"unauthorized|authentication required|denied|x509|certificate|no space left|manifest unknown|not found"
    r"|HTTP response to HTTPS client|invalid reference",
    re.IGNORECASE,
)
# The request that failed, as Podman quotes it: some hundred characters that nobody can use.
_REQUEST = re.compile(r'\w+ "https?://[^"]*": ')
T = TypeVar("T")


@dataclass(frozen=True)
class Shipping:
    """Between which two an image goes, and who hears of it.

    `cancelled` is a file descriptor that becomes readable when nobody wants the image any more, None
    where nobody can say so; `seconds` the longest that one try may take.
    """

    runtime: Runtime
    registry: ImageRegistry
    say: Say
    cancelled: int | None = None
    seconds: float = _SECONDS


def push(via: Shipping, image: str, repository: str, tag: str) -> str:
    """Put the local `image` into the registry as `repository:tag`; its digest there, `sha256:...`.

    When this returns `registry.reference(repository, digest)` is runnable from the local store.
    Raises RegistryError or ReceiverError in a sentence; what the registry held before is untouched.
    """
    target = via.registry.tagged(repository, tag)
    via.runtime.ask("tag", image, target)
    digest = _patiently(via, lambda: _push(via, target))
    if via.runtime.kind == "podman":
        # It knows the image by the digest of its own manifest, which is not the one in the registry.
        _patiently(via, lambda: _pull(via, via.registry.reference(repository, digest)))
    return digest


def pull(via: Shipping, reference: str) -> None:
    """Have the image of this reference in the local store: quick, when it is there already."""
    if not via.runtime.has(reference):
        via.say(f"pulling {reference}")
        _patiently(via, lambda: _pull(via, reference, ask=True))


def forget(runtime: Runtime, reference: str) -> None:
    """Take away what nap calls an image of the local store, by `NAME@sha256:...` and by tags of NAME.

    It goes with its last name. One that a container uses stays, and so does one that others gave a
    name of theirs: hence no `--force`, with which Podman would remove the container too.
    """
    told = runtime.run("image", "inspect", "--format", "{{json .RepoTags}}", reference)
    if told.returncode:
        return
    name = reference.partition("@")[0]
    tags = [tag for tag in json.loads(told.stdout) or () if tag.rpartition(":")[0] == name]
    for each in (*tags, reference):
        runtime.run("rmi", each)


def forget_leftovers(runtime: Runtime, label: str, age: str = "1h") -> None:
    """Remove images without a name that carry `label`, as builds leave them. Nobody is asked whether.

    Not those younger than `age`: a build that is under way may go on from them.
    """
    runtime.run("image", "prune", "--force", "--filter", f"label={label}", "--filter", f"until={age}")


def _patiently(via: Shipping, attempt: Callable[[], T]) -> T:
    """What `attempt` gives; when it fails in a way that may pass, it is tried again."""
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
    """One try."""
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
    """One try."""
    if ask:
        _ask(via.registry)
    _run(via, _PULL, "pull", "--quiet", *via.runtime.registry_flags, reference)


def _ask(registry: ImageRegistry) -> None:
    """The registry says best what is wrong with it, and at once."""
    from registry.images.client import RegistryClient

    RegistryClient(registry).ping()


def _run(via: Shipping, activity: Activity, verb: str, *words: str) -> list[str]:
    """The client's last lines. RegistryError with the very last one when it fails."""
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
    """What Docker's daemon has to be told: it reads neither nap's settings nor its client's options."""
    host = via.registry.host
    if via.runtime.kind == "docker" and "x509" in said:
        return f"Docker wants the authority's certificate in /etc/docker/certs.d/{host}/ca.crt"
    if via.runtime.kind == "docker" and "HTTP response to HTTPS client" in said:
        return f'Docker wants "insecure-registries": ["{host}"] in /etc/docker/daemon.json, and a restart'
    return ""
