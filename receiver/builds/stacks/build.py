"""Builds the two images of a stack and pushes them, stage by stage."""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildpacks.stacks.image_stacks import Recipe
from receiver.builds.images import push_pull
from receiver.builds.images.image_build import Making, make
from receiver.builds.images.push_pull import Shipping
from receiver.builds.stacks import context as stack_context
from receiver.builds.stacks.records import Built, now
from receiver.errors import ReceiverError
from receiver.text.output import Activity, Limits, Say, indented
from registry.images.address import ImageRegistry
from units.oci.build import ImageBuild
from units.oci.runtime import Runtime

_BUILDING = Activity("the build of the stack", "still building the stack")
_ABSENT = re.compile(
    r"E: (?:Unable to locate package |Package ')([^\s']+)(?:$|' has no installation candidate)", re.MULTILINE
)
_OFFLINE = "it needs the network and its names there (http_proxy is passed on); to try again: nap stack build"
_AGAIN = "its own lines above say why; to try again: nap stack build"


@dataclass(frozen=True)
class Made:
    """One image: its reference by digest, its local id, and its unpacked size in bytes."""

    reference: str
    id: str
    size: int


@dataclass(frozen=True)
class StackBuilder:
    """Builds stacks. `wheels` is the folder of MPI's wheels, `seconds` the timeout of one image's build."""

    runtime: Runtime
    registry: ImageRegistry
    wheels: Path
    seconds: float

    def build(self, recipe: Recipe, stages: Mapping[str, str], made: str, say: Say) -> Built:
        """Build and push both images. `stages` maps each stage to the image that it starts from.

        That is the base, or the stack's image without packages. A new value of `made` bypasses the builder's
        cache.

        Raises:
            ReceiverError: the build fails, for example because a package does not exist.
            RegistryError: the images cannot be pushed.
        """
        with tempfile.TemporaryDirectory(prefix="nap-stack-") as folder:
            context = Path(folder)
            stack_context.fill(context, recipe, self.wheels, say)
            run = self._stage(recipe, "run", context, _args(recipe, stages["run"], made), say)
            build = self._stage(recipe, "build", context, _args(recipe, stages["build"], made), say)
        return Built(
            key=recipe.key, name=recipe.name, packages=recipe.packages, base=recipe.base,
            build=build.reference, run=run.reference, build_size=build.size, run_size=run.size,
            told=self._told(recipe, run), below=stages["build"] if recipe.packages else "", created=now(),
        )  # fmt: skip

    def _stage(self, recipe: Recipe, stage: str, context: Path, args: Mapping[str, str], say: Say) -> Made:
        identity = context / f"{stage}.id"
        target = "" if recipe.packages else stage
        self._run(recipe, ImageBuild(context, recipe.dockerfile, identity, target, args), say)
        image, repository = identity.read_text().strip(), recipe.repository(stage)
        say(f"       pushing {self.registry.tagged(repository, recipe.key)}")
        via = Shipping(self.runtime, self.registry, indented(say), seconds=self.seconds)
        digest = push_pull.push(via, image, repository, recipe.key)
        size = self.runtime.ask("image", "inspect", "--format", "{{.Size}}", image)
        return Made(self.registry.reference(repository, digest), image, int(size))

    def _run(self, recipe: Recipe, build: ImageBuild, say: Say) -> None:
        lines = deque[str](maxlen=50)

        def hear(line: str) -> None:
            lines.append(line)
            say(f"       {line}")

        limits = Limits.of(self.seconds)
        if code := make(Making(self.runtime, {}, None, limits, say, _BUILDING), build, hear):
            raise self._refusal(recipe, code, "\n".join(lines))

    def _refusal(self, recipe: Recipe, code: int, said: str) -> ReceiverError:
        if absent := list(dict.fromkeys(_ABSENT.findall(said))):
            verb = "is" if len(absent) == 1 else "are"
            sentence = f"`packages` names {', '.join(absent)}, which {verb} not in this Debian"
            return ReceiverError(sentence, f"look for the right name with: apt-cache search {absent[0]}")
        if "Failed to fetch" in said:
            sentence = f"the stack {recipe.name} cannot be built: no mirror of Debian answers in a container"
            return ReceiverError(sentence, _OFFLINE)
        sentence = f"the stack {recipe.name} cannot be built: {self.runtime.kind} ended with {code}"
        return ReceiverError(sentence, self.runtime.hint(said) or _AGAIN)

    def _told(self, recipe: Recipe, run: Made) -> str:
        """Ask the image for its MPI where the recipe does not know it: Debian's MPI depends on the base."""
        if recipe.kind.flavour:
            return ""
        return self.runtime.ask("run", "--rm", "--network=none", run.id, "mpirun", "--version")


def _args(recipe: Recipe, base: str, made: str) -> dict[str, str]:
    packages = {"PACKAGES": " ".join(recipe.packages)} if recipe.packages else {}
    return {"BASE": base, "MADE": made, **packages}
