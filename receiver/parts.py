"""What all deployments of one home share."""

from __future__ import annotations

from dataclasses import dataclass

from receiver.builder import Builder
from receiver.ledger import Ledger
from receiver.paths import Home
from receiver.prepare import Preparer
from receiver.publisher import Publisher
from receiver.settings import Settings
from registry.images import ImageStore
from registry.keys import Keys
from registry.store import Store
from units.engine import Engine


@dataclass(frozen=True)
class Parts:
    """Each of them may be used by several threads at a time."""

    home: Home
    settings: Settings
    ledger: Ledger
    engine: Engine
    store: Store
    keys: Keys
    images: ImageStore
    builder: Builder
    preparer: Preparer
    publisher: Publisher
