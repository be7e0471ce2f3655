"""A run's record while it is carried out: ledger, story and etcd say the same, in this order."""

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

    def started(self) -> None:
        """The program runs from now on; the next update records it."""
        self.run = replace(self.run, started=self.run.started or clock.now())

    def up(self, *lines: str) -> None:
        """A service's: once these are told, whoever pushed has seen what there is to see."""
        self.was_up = True
        self.update(state="running")
        self.story.say(*lines)
        self.story.settle()
        self._on_up(self.run)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside, in seconds; also when it fails. The next update records it."""
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.run.seconds.get(name, 0.0) + time.monotonic() - started
            self.run = replace(self.run, seconds={**self.run.seconds, name: round(spent, 4)})

    def finish(self, outcome: Outcome) -> None:
        """Record how the run ended, and only then say it."""
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
        """What `finish` had no room for, in as few words as can be. The run's folder may be gone."""
        self._record_end(outcome)
        with contextlib.suppress(FileNotFoundError):
            self.story.end()

    def _record_end(self, outcome: Outcome) -> None:
        times = _times(self.run, outcome)
        reason = outcome.reason or _signal(outcome)
        self.update(state=_state(outcome), exit_code=outcome.exit_code, reason=reason, **times)


def _times(run: Run, outcome: Outcome) -> dict[str, Any]:
    """When the program was started and ended: who ran it saw both, also while no receiver was there."""
    started = clock.iso(outcome.started) if outcome.started else run.started
    if not (started and outcome.ended):
        return {"started": started, "ended": clock.iso(outcome.ended) if outcome.ended else clock.now()}
    # Of a service the time until it answered is told apart.
    apart = run.seconds.get("gather", 0.0) if run.service else 0.0
    took = max(0.0, outcome.ended - clock.seconds(started) - apart)
    seconds = {**run.seconds, "run": round(took, 4)}
    return {"started": started, "ended": clock.iso(outcome.ended), "seconds": seconds}


def _signal(outcome: Outcome) -> str:
    """What an exit code means to a shell, where nobody knows more; empty where it means no signal."""
    number = signal_of(outcome.exit_code) if outcome.state == "ended" else 0
    return f"as after {signal_in_words(number)}" if number else ""


def _state(outcome: Outcome) -> str:
    if outcome.state in ("ended", "lost"):
        return "failed" if outcome.exit_code else "succeeded"
    return outcome.state
