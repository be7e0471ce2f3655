"""The builder for engines that run containers: it makes an image of a tree, pushes it, and records it."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from buildpacks import image_text
from buildpacks.build import environment as with_stack
from buildpacks.detect import Buildpack
from buildpacks.plan import Plan
from buildpacks.stacks.stack import Stack
from receiver.builds.builder import Work, remark
from receiver.builds.images import compile as compiling
from receiver.builds.images import dockerfile, image_build, layers, push_pull
from receiver.builds.images.compile import Workshop
from receiver.builds.images.image_build import Making
from receiver.builds.images.push_pull import Shipping
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.text.output import Limits, Say
from registry.errors import RegistryError
from registry.images.address import ImageRegistry
from registry.images.records import ContainerImages
from registry.images.trees import Image
from units import launching
from units.errors import UnitError
from units.job import Pairs
from units.oci.build import ImageBuild
from units.oci.runtime import Runtime, last_line
from units.supervisor.files import remove

_OWN = Stack("dockerfile", "the Dockerfile's own", "plain", "image")


class Stacks(Protocol):
    """The source of stacks."""

    def have(self, plan: Plan, say: Say, /) -> Stack:
        """Return the plan's stack. Its images are in the runtime's store."""


class ImageBuilder:
    """Compiles in containers of a stack's build image, or lets the runtime build a user's Dockerfile."""

    def __init__(
        self, home: Home, settings: Settings, runtime: Runtime, registry: ImageRegistry, stacks: Stacks
    ) -> None:
        self._home = home
        self._settings = settings
        self._runtime = runtime
        self._registry = registry
        self._stacks = stacks
        self.images = ContainerImages(home.image_records)

    def stack(self, plan: Plan, say: Say) -> Stack:
        return _OWN if plan.stack == _OWN.name else self._stacks.have(plan, say)

    def find(self, digest: str, say: Say) -> Image | None:
        """Look in the runtime's store, and pull from the registry what is missing there.

        An image of another registry, which the settings named before, has to be built again: the present
        registry needs it too. RegistryError when the pull failed but a retry can succeed.
        """
        if not self.images.has(digest):
            return None
        self.images.renew(digest)
        image = self.images.get(digest)
        if not self._registry.names(image.reference):
            return None
        via = Shipping(self._runtime, self._registry, lambda line: say(f"       {line}"))
        try:
            push_pull.pull(via, image.reference)
        except RegistryError as error:
            if error.retry:
                raise
            return None
        return image

    def environment(self, _plan: Plan, _stack: Stack, image: Image) -> Pairs:
        return image.env

    def build(self, pack: Buildpack, plan: Plan, stack: Stack, work: Work) -> tuple[Image, Plan]:
        limits = Limits.of(self._settings.build_timeout, work.cancelled)
        try:
            for folder in (work.folders.cache, work.folders.env):
                folder.mkdir(parents=True, exist_ok=True)
            making = Making(
                self._runtime,
                self._labels(work.app),
                self._settings.containers.build_memory,
                limits,
                work.say,
            )
            if plan.stack == _OWN.name:
                id_, image, completed = dockerfile.build(making, pack, plan, work)
            else:
                id_, image, completed = self._compiled(making, pack, plan, stack, work)
            return self._shipped(limits, work, image, id_), completed
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            place = work.folders.tree
            raise ReceiverError("the disk is full, so the build was given up", f"see: df {place}") from error

    def _compiled(
        self, making: Making, pack: Buildpack, plan: Plan, stack: Stack, work: Work
    ) -> tuple[str, Image, Plan]:
        """Run the plan's steps in the stack's build image, then put the result on top of its run image."""
        tree = work.folders.tree
        before = layers.large_files(tree)
        workshop = Workshop(self._runtime, self._settings, self._home.buildpacks, self._labels(work.app))
        completed = workshop.compile(pack, plan, stack, work, making.limits)
        remark(completed, work)
        context, settled = layers.lay_out(tree, before)
        text = image_text.dockerfile(completed, stack, self._runtime.uid, settled)
        own = launching.variables((("PATH", compiling.PATH),), image_text.environment(completed), {})
        env = with_stack(stack, dict(own))
        return self._made(making, text, context, settled), Image("", env=tuple(env.items())), completed

    def _made(self, making: Making, text: str, context: Path, settled: bool) -> str:
        """Make the image from nap's own Dockerfile and return its id. The output is used only on failure."""
        dockerfile = context.with_name("Dockerfile")
        dockerfile.write_text(text)
        recipe = ImageBuild(context, dockerfile, context.with_name("image"))
        # Podman stores an image of each instruction. That takes time and does not help a single COPY.
        options = ("--layers=false",) if self._runtime.kind == "podman" and not settled else ()
        lines: list[str] = []
        if image_build.make(making, recipe, lines.append, *options):
            said = "\n".join(lines)
            hint = self._runtime.hint(said) or "see: nap doctor"
            raise ReceiverError(f"{self._runtime.kind} cannot make the image: {last_line(said)}", hint)
        return recipe.id_file.read_text().strip()

    def _shipped(self, limits: Limits, work: Work, image: Image, id_: str) -> Image:
        """Push the image and put it on record. When the push fails, also remove its local tag."""
        repository, tag = self._repository(work.app), f"build-{work.name[:12]}"
        left = limits.deadline - time.monotonic()
        via = Shipping(self._runtime, self._registry, work.say, work.cancelled, left)
        try:
            digest = push_pull.push(via, id_, repository, tag)
        except BaseException:
            with contextlib.suppress(UnitError):
                self._runtime.run("rmi", self._registry.tagged(repository, tag))
            raise
        pushed = replace(image, digest=digest, reference=self._registry.reference(repository, digest))
        self.images.add(pushed)
        return pushed

    def released(self, app: str, number: int, image: Image) -> None:
        """Tag the image here and in the registry. Runs use its digest, so a missing tag does no harm."""
        from registry.images.client import RegistryClient

        repository, tag = self._repository(app), f"v{number}"
        try:
            RegistryClient(self._registry).tag(repository, image.digest, tag)
            self._runtime.ask("tag", image.reference, self._registry.tagged(repository, tag))
        except (RegistryError, UnitError) as error:
            print(f"{app}: {error.message}: the image is not called {tag}", file=sys.stderr)

    def dispose(self, images: Iterable[Image]) -> None:
        """Remove the images from the runtime and the registry, and the leftovers of builds as well."""
        push_pull.forget_leftovers(self._runtime, f"nap.home={self._home.root}")
        for image in images:
            push_pull.forget(self._runtime, image.reference)
            self._delete(image)
            self.images.remove(image.digest)

    def _delete(self, image: Image) -> None:
        """Remove the image from the registry; not from another one that the settings named before."""
        from registry.images.client import RegistryClient

        if not self._registry.names(image.reference):
            return
        try:
            RegistryClient(self._registry).delete(*self._registry.split(image.reference))
        except RegistryError as error:
            if error.retry:
                raise
            # Every retry would be refused. Removal is left to the retention rules of the registry.
            print(f"{image.reference} stays in the registry: {error.message}", file=sys.stderr)

    def _repository(self, app: str) -> str:
        return f"{self._home.id}_{app}_image" if self._home.id else f"{app}_image"

    def _labels(self, app: str) -> dict[str, str]:
        return {"nap.home": str(self._home.root), "nap.app": app}

    def sweep(self) -> None:
        home = f"nap.home={self._home.root}"
        for pid in image_build.orphans(self._runtime, home):
            image_build.end(pid, self._runtime.kind)
        filters = ("--filter", f"label={home}", "--filter", "label=nap.build")
        for container in self._runtime.ask("ps", "--all", "--quiet", *filters).split():
            self._runtime.run("rm", "--force", container)
        if self._runtime.rootless and self._home.scratch.is_dir():
            self._runtime.take_back(self._home.scratch)
        remove(self._home.scratch)
