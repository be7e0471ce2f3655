"""The engine `local`: units are processes of this machine."""

from __future__ import annotations

from receiver.engine_support import Support
from receiver.home.paths import Home
from receiver.home.settings import Settings
from units.engine import Engine
from units.launching import Machine
from units.local import engine as local


class Local(Support):
    """Sets up the engine, which needs only what the machine has."""

    engine = local.LocalEngine

    def open(self, home: Home, _settings: Settings) -> Engine:
        return local.LocalEngine(home.root, Machine.here())

    def check_machine(self) -> None:
        local.check()


SUPPORT = Local()
