"""Which builder goes with the engine that a home is up with."""

from __future__ import annotations

from receiver import engines
from receiver.builder import Builder
from receiver.images import registries
from receiver.paths import Home
from receiver.settings import Settings
from units.running.files import remove


def opened(home: Home, settings: Settings) -> Builder:
    """UnitError or RegistryError when what it needs is not there."""
    if engines.current(home) in engines.OF_IMAGES:
        from receiver.images.builder import ImageBuilder
        from receiver.stacks.images import StackImages

        registry, runtime = registries.of(home, settings.registry), registries.runtime(home, settings)
        stacks = StackImages(home, settings, registry, runtime)
        return ImageBuilder(home, settings, runtime, registry, stacks)
    from receiver.machine_builder import MachineBuilder
    from registry.images import Images

    return MachineBuilder(home, settings, Images(home.images, remove))
