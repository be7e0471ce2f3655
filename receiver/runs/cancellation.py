"""How a run is told, from another thread, that nobody wants it any more."""

from __future__ import annotations

import os

from units.job import Outcome


class Cancellation:
    """`outcome` is how a cancelled run ends; `descriptor` becomes readable with it."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        self.outcome: Outcome | None = None

    def cancel(self, outcome: Outcome) -> None:
        """The first word counts."""
        if self.outcome is None:
            self.outcome = outcome
            os.eventfd_write(self.descriptor, 1)

    def is_cancelled(self) -> bool:
        return self.outcome is not None

    def close(self) -> None:
        os.close(self.descriptor)
