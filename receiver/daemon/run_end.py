"""Waits for a run's end, or cancels the run."""

from __future__ import annotations

import asyncio
from functools import partial

from receiver.errors import ReceiverError
from receiver.ledger.ledger import Run
from receiver.runs import story
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher


class RunEnd:
    """For the event loop of the daemon."""

    def __init__(self, context: Context, dispatcher: Dispatcher) -> None:
        self._context = context
        self._dispatcher = dispatcher

    async def ended(self, run: Run) -> Run:
        """Wait until the run has ended and return it. The end is recorded before the story ends.

        Raise ReceiverError when the end could not be recorded.
        """
        await self._over(run)
        ended = self._context.ledger.run(run.app, run.number)
        if not ended.has_ended:
            raise ReceiverError(
                f"run {run.number} of {run.app} is over, and that could not be recorded",
                f"is the disk full? see: df {self._context.home.root}; with room it is recorded by itself",
            )
        return ended

    async def stopped(self, run: Run) -> None:
        """Cancel the run, and wait until its thread has finished with it."""
        await asyncio.to_thread(self._dispatcher.cancel, run)
        await self._over(run)

    def is_over(self, run: Run) -> bool:
        """Return whether the run is no longer being carried out."""
        return not self._dispatcher.has(run)

    async def _over(self, run: Run) -> None:
        folder, over = self._context.home.run(run.app, run.number), partial(self.is_over, run)
        if not over():
            async for _ in story.follow(self._context.changes, folder, over=over):
                pass
