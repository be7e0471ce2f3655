"""The receiver's side of an engine: setup, status and checks. Each file in receiver/engines/ provides one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from receiver.builds import image_registry
from receiver.builds.builder import Builder
from receiver.findings import ExaminedMachine, Finding
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.text.output import Say
from units.engine import Engine
from units.job import Job, UnitFile
from units.supervisor.files import remove


class Support(ABC):
    """The receiver's side of one engine. It has no state; the defaults follow from the `engine` class."""

    engine: type[Engine]

    @abstractmethod
    def open(self, home: Home, settings: Settings) -> Engine:
        """Return the engine. Raise UnitError, RegistryError or ReceiverError when it lacks something."""

    def check_machine(self) -> None:
        """Raise UnitError when this machine cannot run the engine. Called before anything is changed."""

    def prepare(self, home: Home, settings: Settings, say: Say) -> None:
        """Start what the engine needs before `nap up` starts the rest. An error aborts `nap up`."""
        if self.engine.runs_images:
            image_registry.have(home, settings.registry, say)
            image_registry.runtime(home, settings)

    def builder(self, home: Home, settings: Settings) -> Builder:
        """Return the engine's builder. Raise UnitError or RegistryError when it lacks something."""
        if self.engine.runs_images:
            return _image_builder(home, settings)
        from receiver.builds.trees import MachineBuilder
        from registry.images.trees import Images

        return MachineBuilder(home, settings, Images(home.images, remove))

    def status(self, home: Home, settings: Settings) -> dict[str, str]:
        """Return the engine's entries in `nap status`."""
        if not self.engine.runs_images:
            return {}
        registry = image_registry.of(home, settings.registry).name
        return {"registry": registry, "runtime": image_registry.runtime(home, settings).shown}

    def findings(self, _machine: ExaminedMachine, _is_current: bool) -> list[Finding]:
        """Return the findings of `nap doctor` that are specific to this engine. Change nothing."""
        return []

    def export(self, _home: Home, _settings: Settings, _job: Job) -> tuple[UnitFile, ...] | None:
        """Return the job's units for use without nap; None for an engine that renders only when it is up."""
        return None


def _image_builder(home: Home, settings: Settings) -> Builder:
    from receiver.builds.images.builder import ImageBuilder
    from receiver.builds.stacks.images import StackImages

    registry, runtime = image_registry.of(home, settings.registry), image_registry.runtime(home, settings)
    stacks = StackImages(home, settings, registry, runtime)
    return ImageBuilder(home, settings, runtime, registry, stacks)
