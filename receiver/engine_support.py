"""How the receiver sets an engine up and looks after it: what each file in receiver/engines/ provides."""

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
    """The receiver's side of one engine. It has no state; what is not abstract follows from `engine`."""

    engine: type[Engine]

    @abstractmethod
    def open(self, home: Home, settings: Settings) -> Engine:
        """Return the engine. UnitError, RegistryError or ReceiverError when what it needs is not there."""

    def check_machine(self) -> None:
        """Raise UnitError when this machine cannot have the engine. Nothing was changed yet."""

    def prepare(self, home: Home, settings: Settings, say: Say) -> None:
        """Start what the engine needs before `nap up` starts the rest; an error stops that."""
        if self.engine.runs_images:
            image_registry.have(home, settings.registry, say)
            image_registry.runtime(home, settings)

    def builder(self, home: Home, settings: Settings) -> Builder:
        """Return what makes images for the engine. UnitError or RegistryError without what it needs."""
        if self.engine.runs_images:
            return _image_builder(home, settings)
        from receiver.builds.trees import MachineBuilder
        from registry.images.trees import Images

        return MachineBuilder(home, settings, Images(home.images, remove))

    def status(self, home: Home, settings: Settings) -> dict[str, str]:
        """Return what `nap status` shows of the engine's parts."""
        if not self.engine.runs_images:
            return {}
        registry = image_registry.of(home, settings.registry).name
        return {"registry": registry, "runtime": image_registry.runtime(home, settings).shown}

    def findings(self, _machine: ExaminedMachine, _is_current: bool) -> list[Finding]:
        """Return what `nap doctor` finds for this engine alone. It looks and changes nothing."""
        return []

    def export(self, _home: Home, _settings: Settings, _job: Job) -> tuple[UnitFile, ...] | None:
        """Return the job's units for use without nap; None for an engine that only renders when it is up."""
        return None


def _image_builder(home: Home, settings: Settings) -> Builder:
    from receiver.builds.images.builder import ImageBuilder
    from receiver.builds.stacks.images import StackImages

    registry, runtime = image_registry.of(home, settings.registry), image_registry.runtime(home, settings)
    stacks = StackImages(home, settings, registry, runtime)
    return ImageBuilder(home, settings, runtime, registry, stacks)
