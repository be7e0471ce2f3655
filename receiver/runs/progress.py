"""A run's record while it is carried out: written to the ledger, then to etcd, and reported in the story."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from receiver import clock
from receiver.ledger.ledger import Ledger, Run
from receiver.ledger.publisher import Publisher
from receiver.runs.story import Story
from units.job import Outcome
from units.supervisor.exitcode import signal_in_words, signal_of

PHASES = ("check", "build", "slaves", "gather", "run")


class Progress:
    """One run's progress, used by the thread that carries it out. `run` is its current record.

    `on_up` is called when a service is up: from then on the app's next run can have its turn.
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

    def started(self) -> None:
        """Note the program's start time, if there is none yet. The next update records it."""
        self.run = replace(self.run, started=self.run.started or clock.now())

    def up(self, *lines: str) -> None:
        """Record that a service is up, and say these lines. A push that follows the run ends after them."""
        self.was_up = True
        self.update(state="running")
        self.story.say(*lines)
        self.story.settle()
        self._on_up(self.run)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the body's duration to this phase, in seconds, also on failure. The next update records it."""
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.run.seconds.get(name, 0.0) + time.monotonic() - started
            self.run = replace(self.run, seconds={**self.run.seconds, name: round(spent, 4)})

    def finish(self, outcome: Outcome) -> None:
        """Record how the run ended, and only then report it and end the story."""
        self._record_end(outcome)
        run = self.run
        reason = f" ({run.reason})" if run.reason else ""
        self.say(f"-----> run {run.number} of {run.app}: {run.state}, exit {run.exit_code}{reason}")
        for phase in PHASES:
            if phase in run.seconds:
                self.say(f"       {phase:<7}{run.seconds[phase]:7.2f} s")
        self.say(f"       to see it again: nap logs {run.app} {run.number}")
        self.story.end()

    def close(self, outcome: Outcome) -> None:
        """Record the end without a report, which takes less disk space. The run's folder can be missing."""
        self._record_end(outcome)
        with contextlib.suppress(FileNotFoundError):
            self.story.end()

    def _record_end(self, outcome: Outcome) -> None:
        times = _times(self.run, outcome)
        reason = outcome.reason or _signal(outcome)
        self.update(state=_state(outcome), exit_code=outcome.exit_code, reason=reason, **times)


def _times(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Return the program's start, end and duration, as its runner recorded them, even without a receiver."""
    started = clock.iso(outcome.started) if outcome.started else run.started
    if not (started and outcome.ended):
        return {"started": started, "ended": clock.iso(outcome.ended) if outcome.ended else clock.now()}
    # The time until a service answered is in the phase `gather`.
    apart = run.seconds.get("gather", 0.0) if run.service else 0.0
    took = max(0.0, outcome.ended - clock.seconds(started) - apart)
    seconds = {**run.seconds, "run": round(took, 4)}
    return {"started": started, "ended": clock.iso(outcome.ended), "seconds": seconds}


def _signal(outcome: Outcome) -> str:
    """Return the shell's meaning of an exit code above 128 as a reason; empty when it means no signal."""
    number = signal_of(outcome.exit_code) if outcome.state == "ended" else 0
    return f"as after {signal_in_words(number)}" if number else ""


def _state(outcome: Outcome) -> str:
    if outcome.state in ("ended", "lost"):
        return "failed" if outcome.exit_code else "succeeded"
    return outcome.state
