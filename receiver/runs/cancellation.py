"""Cancellation of a run from another thread."""

from __future__ import annotations

import os

from units.job import Outcome


class Cancellation:
    """`outcome` is how a cancelled run ends, None before. `descriptor` becomes readable on cancellation."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        self.outcome: Outcome | None = None

    def cancel(self, outcome: Outcome) -> None:
        """Cancel with this outcome. Later calls have no effect."""
        if self.outcome is None:
            self.outcome = outcome
            os.eventfd_write(self.descriptor, 1)

    def is_cancelled(self) -> bool:
        return self.outcome is not None

    def close(self) -> None:
        os.close(self.descriptor)
