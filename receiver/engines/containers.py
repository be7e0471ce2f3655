"""The engine `containers`: units are containers of this machine's Podman or Docker."""

from __future__ import annotations

from receiver.builds import image_registry
from receiver.engine_support import Support
from receiver.home.paths import Home
from receiver.home.settings import Settings
from units.containers.engine import ContainersEngine
from units.engine import Engine
from units.launching import Machine


class Containers(Support):
    """Sets up the engine, which needs a container runtime and an image registry."""

    engine = ContainersEngine

    def open(self, home: Home, settings: Settings) -> Engine:
        limits, runtime = settings.containers, image_registry.runtime(home, settings)
        on_host = limits.network == "host"
        return ContainersEngine(home.root, Machine.here(), runtime, limits.pids, on_host)


SUPPORT = Containers()
