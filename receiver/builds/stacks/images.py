"""Stacks as images: built once, pushed to the registry, and then named by digest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from buildpacks.plan import Plan
from buildpacks.stacks import image_stacks
from buildpacks.stacks.image_stacks import Recipe
from buildpacks.stacks.stack import Stack
from receiver.builds.images import push_pull
from receiver.builds.images.push_pull import Shipping
from receiver.builds.stacks import base
from receiver.builds.stacks.build import StackBuilder
from receiver.builds.stacks.records import Built, StackRecords, now
from receiver.builds.stacks.retire import Retiring
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.text.heartbeat import told
from receiver.text.output import Say, indented
from registry.errors import RegistryError
from registry.images.address import ImageRegistry
from registry.processes import PidLock
from units.oci.runtime import Runtime


class StackImages:
    """The stacks of one home and one runtime. Safe for concurrent use by threads and processes."""

    def __init__(self, home: Home, settings: Settings, registry: ImageRegistry, runtime: Runtime) -> None:
        self._records = StackRecords(home.stack_records)
        self._base = settings.containers.base
        self._seconds = float(settings.build_timeout)
        self._registry = registry
        self._runtime = runtime
        shared = bool(settings.registry.url)
        self._retiring = Retiring(self._records, runtime, registry, shared)
        self._builder = StackBuilder(runtime, registry, home.stacks, self._seconds)

    def have(self, plan: Plan, say: Say) -> Stack:
        """Return the plan's stack with its images in the runtime's store. Pull or build them if missing.

        When they are there, this starts one process. Concurrent callers build a stack only once.

        Raises:
            BuildpackError: there is no such stack.
            ReceiverError, RegistryError, UnitError: the stack cannot be built or pushed.
        """
        return self._have(image_stacks.recipe(plan, self._base), say).stack

    def build(self, name: str, say: Say, anew: bool = False) -> Built:
        """Return the stack of this name without packages. `anew` rebuilds it with today's Debian packages."""
        recipe = image_stacks.named(name, self._base)
        if not anew:
            return self._have(recipe, say)
        with self._turn(recipe.key, say):
            return self._make(recipe, say, now())

    def _have(self, recipe: Recipe, say: Say) -> Built:
        if found := self._found(recipe, say, may_pull=False):
            return found
        # Look again under the lock: another process may have built it meanwhile.
        with self._turn(recipe.key, say):
            return self._found(recipe, say, may_pull=True) or self._make(recipe, say)

    def _found(self, recipe: Recipe, say: Say, may_pull: bool) -> Built | None:
        """Return the recorded stack if its images are in the store or, with `may_pull`, can be pulled."""
        built = self._records.find(recipe)
        if built is None or not built.build.startswith(f"{self._registry.name}/"):
            return None
        if recipe.packages and built.below != self._below(recipe):
            return None
        if self._runtime.has(built.build, built.run) or (may_pull and self._pulled(built, say)):
            return built
        return None

    def _below(self, recipe: Recipe) -> str:
        """Return the build image below packages; it changes when the stack without packages is rebuilt."""
        below = self._records.find(recipe.plain)
        return below.build if below else ""

    def _pulled(self, built: Built, say: Say) -> bool:
        via = Shipping(self._runtime, self._registry, indented(say), seconds=self._seconds)
        try:
            for reference in (built.run, built.build):
                push_pull.pull(via, reference)
        except RegistryError as error:
            say(f"       {error.message}")
            return False
        return True

    @contextmanager
    def _turn(self, key: str, say: Say) -> Iterator[None]:
        """Hold the lock of `key`, waiting for its owner. The kernel releases it when the process ends."""
        with closing(PidLock(self._records.lock(key))) as lock:
            if not lock.take():
                say(f"       process {lock.owner()} builds the same already")
                with told(indented(say), "still waiting for it"):
                    lock.wait()
            lock.write(os.getpid())
            yield

    def _make(self, recipe: Recipe, say: Say, made: str = "") -> Built:
        started = time.monotonic()
        what = f" with {', '.join(recipe.packages)}" if recipe.packages else ""
        say(f"-----> building the stack {recipe.name}{what}: once, for all apps")
        before = self._records.find(recipe)
        built = self._builder.build(recipe, self._stages(recipe, say, made), made, say)
        self._records.keep(built)
        self._retiring.retire(before.references if before else set(), say)
        say(f"       the stack {recipe.name} took {time.monotonic() - started:.0f} s")
        return built

    def _stages(self, recipe: Recipe, say: Say, made: str) -> dict[str, str]:
        """Return the image each stage starts from: that of the stack without packages, or the base."""
        if recipe.packages:
            below = self._have(recipe.plain, say)
            return {"run": below.run, "build": below.build}
        with self._turn("base", say):
            if made or not base.is_there(self._runtime, self._base):
                base.make(self._runtime, self._registry, self._base, say, self._seconds)
        return dict.fromkeys(image_stacks.STAGES, base.name(self._base))
