"""Accepts runs, carries out each in a thread of its own, and takes up runs that an earlier daemon left."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from buildpacks.errors import BuildpackError
from receiver import repository
from receiver.errors import ReceiverError
from receiver.ledger.ledger import Origin, Run
from receiver.runs import pruning, services, story
from receiver.runs.acceptance import Acceptance
from receiver.runs.app_queue import Turns
from receiver.runs.cancellation import Cancellation
from receiver.runs.closing import Closing
from receiver.runs.context import Context
from receiver.runs.deployment import Deployment
from receiver.runs.prepare import Prepared
from receiver.runs.progress import Progress
from receiver.text.format import counted
from receiver.text.heartbeat import Silence
from registry.errors import RegistryError
from units.errors import UnitError
from units.job import Handle, Outcome

_EXPECTED = (BuildpackError, ReceiverError, RegistryError, UnitError, OSError)
NOT_ACCEPTED = Outcome(1, "nap ended before it was accepted: push it again")
CANCELLED = Outcome(130, "", "cancelled")


@dataclass(frozen=True)
class Prelude:
    """The lines shown for a push before its acceptance, and its prepared commit.

    `seconds` are the durations by phase, `who` is the pusher's name.
    """

    lines: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    prepared: Prepared | None = None
    who: str = ""


class Dispatcher:
    """One per daemon. Its methods can be called from any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns = Turns()
        self._tickets: dict[tuple[str, int], Cancellation] = {}
        self._closing = Closing()
        self._closed: set[str] = set()
        self._acceptance = Acceptance(context.home)
        self._lock = threading.Lock()

    def accept(
        self, app: str, commit: str, options: Mapping[str, str], prelude: Prelude, release: int | None = None
    ) -> tuple[Run, int]:
        """Record a run and begin it. Return the run, and the story's size in bytes after the prelude.

        After the return the run is carried out, by this daemon or the next one. Raise ReceiverError while
        the app is being destroyed.
        """
        subject, above = self._acceptance.look_up(app, commit)
        with self._lock:
            if app in self._closed:
                raise ReceiverError(f"{app} is being destroyed", f"once it is gone: nap create {app}")
            # Number and turn under one lock: the turns are in the order of the numbers.
            origin = Origin("recording", prelude.who, subject, above, self._acceptance.make_folder)
            run = self._context.ledger.accept(app, commit, options, release, origin)
            self._turns.enter(app, run.number)
            self._tickets[app, run.number] = Cancellation()
        try:
            # `accepted` comes last: a daemon killed before that leaves `recording`, which `recover` closes.
            cursor = self._acceptance.record(run, prelude.lines)
            run = self._context.ledger.update(run, state="accepted", seconds=dict(prelude.seconds))
        except BaseException as error:
            self._leave(run)
            self._close(run, Outcome(1, f"it could not be recorded: {error}"))
            self._forget(run)
            raise
        self._begin(run, prelude.prepared)
        return run, cursor

    @contextmanager
    def closed(self, app: str) -> Iterator[None]:
        """Accept no run of the app inside the context: it is being destroyed."""
        with self._lock:
            if app in self._closed:
                raise ReceiverError(f"{app} is being destroyed already", "see: nap apps")
            self._closed.add(app)
        try:
            yield
        finally:
            self._closing.drop(app)
            with self._lock:
                self._closed.discard(app)
                self._acceptance.forget(app)

    def _close(self, run: Run, outcome: Outcome) -> None:
        """Record the end of a run without a full report: now, or later when the disk has room."""
        progress = _progress(self._context, run, self._leave)
        self._closing.add(run, lambda: progress.close(outcome))
        self._closing.try_now(run)

    def _replace_before(self, progress: Progress) -> None:
        """Cancel the app's earlier runs, except a service that is up.

        Begin with the last one: a waiting run must not start when the one before it ends.
        """
        run = progress.run
        for other in reversed(self._context.ledger.unfinished()):
            if other.app == run.app and other.number < run.number and not services.is_up(other):
                with services.said_if_it_stays(progress, other):
                    self.cancel(other, Outcome(130, f"run {run.number} replaced it", "replaced"))

    def has(self, run: Run) -> bool:
        """Return whether the run is being carried out: its story has no end yet."""
        with self._lock:
            return (run.app, run.number) in self._tickets

    def cancel(self, run: Run, outcome: Outcome = CANCELLED) -> None:
        """End a run in any state. A run that has ended keeps its outcome."""
        with self._lock:
            cancellation = self._tickets.get((run.app, run.number))
            if cancellation is not None:
                cancellation.cancel(outcome)
        if cancellation is None:
            self._closing.try_now(run)
        else:
            self._turns.wake()
            self._context.engine.stop(Handle(self._context.home.run(run.app, run.number)), outcome)

    def recover(self) -> None:
        """Take up every run that has not ended: see `Deployment`. Services that went down come up again.

        All runs are adopted before the first one continues. Each continues in its own thread: a run that is
        slow to stop, or cannot be stopped, does not block the others.
        """
        self._context.engine.begin()
        unfinished = self._context.ledger.unfinished()
        for run in unfinished:
            if run.state == "recording":
                self._close(run, NOT_ACCEPTED)
        taken_up = [(run, self._take_up(run)) for run in unfinished if run.state != "recording"]
        left = [key for key in self._context.cleanup.recorded() if key not in self._tickets]
        for run, gone in taken_up:
            self._begin(run, gone=gone)
        threading.Thread(target=self._remove, args=(left,), name="cleanup", daemon=True).start()

    def _take_up(self, run: Run) -> bool:
        """Adopt a run. Return whether it was a service that was up and ended while no daemon was running."""
        cancellation = self._tickets[run.app, run.number] = Cancellation()
        if not services.is_up(run):
            self._turns.enter(run.app, run.number)
        handle = Handle(self._context.home.run(run.app, run.number))
        try:
            if run.state == "accepted":
                self._acceptance.record(run, ())
            if run.state in ("starting", "running"):
                self._context.engine.adopt(handle)
            return services.is_up(run) and not self._context.engine.running(handle)
        except Exception as error:
            # The run's thread then stops what exists of it.
            cancellation.cancel(_failed(self._context, error))
            return False

    def again(self, run: Run, why: str) -> Run:
        """Start and return a new run of the same release."""
        lines = (f"-----> v{run.release} of {run.app} again: {why}",)
        return self.accept(run.app, run.commit_id, {}, Prelude(lines, who=run.who), run.release)[0]

    def _begin(self, run: Run, prepared: Prepared | None = None, gone: bool = False) -> None:
        words = (run, self._tickets[run.app, run.number], prepared, gone)
        name = f"{run.app} run {run.number}"
        threading.Thread(target=self._carry_out, args=words, name=name, daemon=True).start()

    def _carry_out(self, run: Run, cancellation: Cancellation, prepared: Prepared | None, gone: bool) -> None:
        """Carry out a run. The next run gets its turn even if this one's end cannot be recorded."""
        progress = _progress(self._context, run, self._leave)
        outcome = self._outcome(progress, cancellation, prepared)
        replaced = None
        try:
            if replaced := services.replaced(self._context, progress, cancellation):
                progress.say(f"-----> v{replaced.release}, which was up before, comes back")
            self._finish(progress, outcome)
        except Exception:
            # The end could not be recorded, as on a full disk: `Closing` retries it.
            traceback.print_exc()
            self._close(progress.run, outcome)
        finally:
            self._leave(run)
            self._forget(run)
        try:
            if gone and services.comes_back(outcome):
                self._come_back(run)
            if replaced:
                self.again(replaced, f"run {run.number} did not come up")
        finally:
            self._clean_up(run)

    def _finish(self, progress: Progress, outcome: Outcome) -> None:
        """Record the end. If that fails, remove the run's remains and retry: they can fill the disk."""
        try:
            progress.finish(outcome)
        except (ReceiverError, OSError):
            self._remove([(progress.run.app, progress.run.number)])
            progress.finish(outcome)

    def _outcome(self, progress: Progress, cancellation: Cancellation, prepared: Prepared | None) -> Outcome:
        try:
            if "replace" in progress.run.options:
                self._replace_before(progress)
            if self._wait_for_turn(progress, cancellation):
                prepared = None  # the image may have been pruned meanwhile
            return Deployment(progress, self._context, cancellation, prepared).carry_out()
        except Exception as error:
            return cancellation.outcome or _failed(self._context, error)

    def _come_back(self, run: Run) -> None:
        """Start a service again that was up when nap went down, unless a later run has taken its place."""
        self._turns.enter(run.app, run.number)
        try:
            self._turns.wait(run.app, run.number, lambda: False, None)
            unfinished = self._context.ledger.unfinished()
            if not any(services.is_up(other) for other in unfinished if other.app == run.app):
                self.again(run, "it was up when nap went down")
        finally:
            self._leave(run)

    def _wait_for_turn(self, progress: Progress, cancellation: Cancellation) -> bool:
        """Wait for the run's turn or its cancellation. Return whether other runs were ahead."""
        run = progress.run
        first = self._turns.before(run.app, run.number)
        if first:
            stopped = "it is being stopped" if "replace" in run.options else "-o replace stops it"
            progress.update(state="waiting")
            progress.say(f"-----> waiting for run {first[-1]} of {run.app} to end ({stopped})")
        silence = Silence(progress.say, f"waiting for {counted(len(first), 'run')} before this one")
        while not self._turns.wait(run.app, run.number, cancellation.is_cancelled, silence.patience()):
            silence.broken()
        return bool(first)

    def _leave(self, run: Run) -> None:
        self._turns.leave(run.app, run.number)

    def _forget(self, run: Run) -> None:
        """Remove and close the run's ticket. `cancel` takes the same lock, so it never uses a closed one."""
        with self._lock:
            self._tickets.pop((run.app, run.number)).close()
        story.wake(self._context.home.run(run.app, run.number))

    def _clean_up(self, run: Run) -> None:
        """Remove the run's remains, prune images and pack the repository, after the run's end was reported.

        Nothing waits for this, except the app's next run for the resources it needs.
        """
        self._remove([(run.app, run.number)])
        try:
            pruning.prune(self._context)
            with repository.opened(self._context.home.repository(run.app)) as repo:
                repository.tidy(repo)
        except _EXPECTED as error:
            print(f"after run {run.number} of {run.app}: {error}", file=sys.stderr)

    def _remove(self, runs: Iterable[tuple[str, int]]) -> None:
        """Remove what is left of these runs. What cannot be removed now is tried again after the next run."""
        cleanup = self._context.cleanup
        cleanup.run_each({*runs, *cleanup.take_failed()}, lambda why: print(why, file=sys.stderr))


def _progress(context: Context, run: Run, on_up: Callable[[Run], None]) -> Progress:
    folder = context.home.run(run.app, run.number)
    return Progress(run, folder, context.ledger, context.publisher, on_up)


def _failed(context: Context, error: Exception) -> Outcome:
    """Return the outcome of a run that nap could not carry out. An unexpected error goes to the log."""
    if not isinstance(error, _EXPECTED):
        traceback.print_exception(error)
        return Outcome(1, f"nap itself failed; the whole of it is in {context.home.log}")
    sentence = getattr(error, "message", "") or str(error)
    hint = getattr(error, "hint", "")
    return Outcome(1, f"{sentence}; {hint}" if hint else sentence)
