"""Which builder goes with the engine that a home is up with."""

from __future__ import annotations

from receiver import engine_choice
from receiver.builds import image_registry
from receiver.builds.builder import Builder
from receiver.home.paths import Home
from receiver.home.settings import Settings
from units.supervisor.files import remove


def opened(home: Home, settings: Settings) -> Builder:
    """UnitError or RegistryError when what it needs is not there."""
    if engine_choice.current(home) in engine_choice.OF_IMAGES:
        from receiver.builds.images.builder import ImageBuilder
        from receiver.builds.stacks.images import StackImages

        registry, runtime = image_registry.of(home, settings.registry), image_registry.runtime(home, settings)
        stacks = StackImages(home, settings, registry, runtime)
        return ImageBuilder(home, settings, runtime, registry, stacks)
    from receiver.builds.trees import MachineBuilder
    from registry.images.trees import Images

    return MachineBuilder(home, settings, Images(home.images, remove))
