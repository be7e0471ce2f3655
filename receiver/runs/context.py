"""What all deployments of one home share."""

from __future__ import annotations

from dataclasses import dataclass, field

from receiver.builds.builder import Builder
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger.ledger import Ledger
from receiver.ledger.publisher import Publisher
from receiver.runs.changes import Changes
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.prepare import Preparer
from registry.etcd.store import Store
from registry.images.trees import ImageStore
from registry.keys import Keys
from units.engine import Engine


@dataclass(frozen=True)
class Parts:
    """Each of them may be used by several threads at a time, but `changes`, which is the event loop's."""

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
    cleanup: PendingCleanup
    changes: Changes = field(default_factory=Changes)
