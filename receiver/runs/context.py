"""The objects that all deployments of one home share."""

from __future__ import annotations

from dataclasses import dataclass, field

from buildpacks.plan import Plan
from buildpacks.stacks.stack import Stack
from receiver.builds.builder import Builder
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger import service_ports
from receiver.ledger.ledger import Ledger
from receiver.ledger.publisher import Publisher
from receiver.runs.changes import StoryChanges
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.jobs import Runnable
from receiver.runs.prepare import Preparer
from registry.etcd.store import Store
from registry.images.trees import Image, ImageStore
from registry.keys import Keys
from units.engine import Engine


@dataclass(frozen=True)
class Context:
    """Threads can use all of these at the same time, except `changes`, which belongs to the event loop."""

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
    changes: StoryChanges = field(default_factory=StoryChanges)

    def runnable(self, app: str, plan: Plan, image: Image, stack: Stack) -> Runnable:
        """Return the parts of the app's jobs that do not depend on the run, with the port of a service."""
        env = self.builder.environment(plan, stack, image)
        port = service_ports.of(self.ledger, app) if plan.service else None
        return Runnable(plan, image, stack, env, port)
