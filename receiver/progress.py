"""A run's record while it is carried out: ledger, story and etcd say the same, in this order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from receiver.ledger import Ledger, Run
from receiver.publisher import Publisher
from receiver.story import Story
from units.job import Outcome

PHASES = ("check", "build", "slaves", "gather", "run")


class Progress:
    """One run's, used by the thread that carries it out. `run` is what the ledger has by now.

    `on_up` is called when a service is up, and so no longer in the way of the app's next run.
    """

    def __init__(
        self, run: Run, folder: Path, ledger: Ledger, publisher: Publisher, on_up: Callable[[Run], None]
    ) -> None:
        self.run = run
        self.story = Story(folder)
        self.was_up = run.service and run.state == "running"
        self._on_up = on_up
        self._ledger = ledger
        self._publisher = publisher

    def say(self, text: str) -> None:
        self.story.say(text)

    def update(self, **changes: Any) -> None:
        self.run = self._ledger.update(self.run, **changes)
        self._publisher.run(self.run)

    def up(self, *lines: str) -> None:
        """A service's: once these are told, whoever pushed has seen what there is to see."""
        self.was_up = True
        self.update(state="running")
        self.story.say(*lines)
        self.story.settle()
        self._on_up(self.run)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside, in seconds; also when it fails."""
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.run.seconds.get(name, 0.0) + time.monotonic() - started
            self.update(seconds={**self.run.seconds, name: round(spent, 4)})

    def finish(self, outcome: Outcome) -> None:
        """Record how the run ended, and only then say it."""
        self.update(state=_state(outcome), exit_code=outcome.exit_code, reason=outcome.reason)
        run, reason = self.run, f" ({outcome.reason})" if outcome.reason else ""
        self.say(f"-----> run {run.number} of {run.app}: {run.state}, exit {run.exit_code}{reason}")
        for phase in PHASES:
            if phase in run.seconds:
                self.say(f"       {phase:<7}{run.seconds[phase]:7.2f} s")
        self.say(f"       to see it again: nap logs {run.app} {run.number}")
        self.story.end()


def _state(outcome: Outcome) -> str:
    if outcome.state in ("ended", "lost"):
        return "failed" if outcome.exit_code else "succeeded"
    return outcome.state
