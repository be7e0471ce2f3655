"""Accepts runs, gives each a thread when its turn has come, and takes up what an earlier daemon left."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """What was said of a push before it was accepted, and what its commit became; `seconds` by phase.

    `who` pushed it.
    """

    lines: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    prepared: Prepared | None = None
    who: str = ""


class Dispatcher:
    """One a daemon. Its methods may be called by any thread."""

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
        """Record a run and begin it; the run, and the size its story has after the prelude.

        Once this returned the run is carried out, by this daemon or the next one.
        """
        subject, above = self._acceptance.look_up(app, commit)
        with self._lock:
            if app in self._closed:
                raise ReceiverError(f"{app} is being destroyed", f"once it is gone: nap create {app}")
            origin = Origin("recording", prelude.who, subject, above, self._acceptance.make_folder)
            run = self._context.ledger.accept(app, commit, options, release, origin)
            self._turns.enter(app, run.number)
            self._tickets[app, run.number] = Cancellation()
        try:
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
        """No run of the app is accepted meanwhile: it is being destroyed."""
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
        """Record the end of a run that cannot be told of any more, now or once there is room."""
        progress = self._progress(run)
        self._closing.add(run, lambda: progress.close(outcome))
        self._closing.try_now(run)

    def _replace_before(self, progress: Progress) -> None:
        """The last one first: none that waits is to begin when the one before it ends."""
        run = progress.run
        for other in reversed(self._context.ledger.unfinished()):
            if other.app == run.app and other.number < run.number and not services.is_up(other):
                with services.said_if_it_stays(progress, other):
                    self.cancel(other, Outcome(130, f"run {run.number} replaced it", "replaced"))

    def has(self, run: Run) -> bool:
        """Whether it is being carried out: its story has not come to its end."""
        with self._lock:
            return (run.app, run.number) in self._tickets

    def cancel(self, run: Run, outcome: Outcome = CANCELLED) -> None:
        """End a run, wherever it is; one that has ended stays as it is."""
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

        All are taken into account before the first one goes on, and each goes on in its own thread: a
        run that takes long to be stopped, or cannot be, keeps the receiver from none of the others.
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
        """Whether it was up, and its end came while no daemon was there to see it."""
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
            # Its thread stops what there is of it.
            cancellation.cancel(self._failed(error))
            return False

    def again(self, run: Run, why: str) -> Run:
        """A new run of the same release."""
        lines = (f"-----> v{run.release} of {run.app} again: {why}",)
        return self.accept(run.app, run.commit_id, {}, Prelude(lines, who=run.who), run.release)[0]

    def _begin(self, run: Run, prepared: Prepared | None = None, gone: bool = False) -> None:
        words = (run, self._tickets[run.app, run.number], prepared, gone)
        name = f"{run.app} run {run.number}"
        threading.Thread(target=self._carry_out, args=words, name=name, daemon=True).start()

    def _progress(self, run: Run) -> Progress:
        context = self._context
        folder = context.home.run(run.app, run.number)
        return Progress(run, folder, context.ledger, context.publisher, self._leave)

    def _carry_out(self, run: Run, cancellation: Cancellation, prepared: Prepared | None, gone: bool) -> None:
        """Whatever happens, the next run gets its turn."""
        progress = self._progress(run)
        outcome = self._outcome(progress, cancellation, prepared)
        replaced = self._replaced(progress, cancellation)
        try:
            if replaced:
                progress.say(f"-----> v{replaced.release}, which was up before, comes back")
            self._finish(progress, outcome)
        except Exception:
            # Not even its end could be recorded: the disk is full.
            traceback.print_exc()
            self._close(progress.run, outcome)
        finally:
            self._leave(run)
            self._forget(run)
        if gone and services.comes_back(outcome):
            self._come_back(run)
        if replaced:
            self.again(replaced, f"run {run.number} did not come up")
        self._clean_up(run)

    def _finish(self, progress: Progress, outcome: Outcome) -> None:
        """A program may have filled the disk: there is room for its end once what it left is removed."""
        try:
            progress.finish(outcome)
        except (ReceiverError, OSError):
            self._remove([(progress.run.app, progress.run.number)])
            progress.finish(outcome)

    def _replaced(self, progress: Progress, cancellation: Cancellation) -> Run | None:
        """The service that is to be up again, since this one has not come up."""
        if not progress.run.service or progress.was_up or cancellation.outcome:
            return None
        return services.predecessor(self._context, progress.run)

    def _outcome(self, progress: Progress, cancellation: Cancellation, prepared: Prepared | None) -> Outcome:
        try:
            if "replace" in progress.run.options:
                self._replace_before(progress)
            if self._wait_for_turn(progress, cancellation):
                prepared = None  # the image may have been pruned meanwhile
            return Deployment(progress, self._context, cancellation, prepared).carry_out()
        except Exception as error:
            return cancellation.outcome or self._failed(error)

    def _failed(self, error: Exception) -> Outcome:
        if isinstance(error, _EXPECTED):
            return _failure(error)
        traceback.print_exception(error)
        return Outcome(1, f"nap itself failed; the whole of it is in {self._context.home.log}")

    def _come_back(self, run: Run) -> None:
        """A service is up again with nap, unless one of the runs that were accepted since takes its place."""
        self._turns.enter(run.app, run.number)
        try:
            self._turns.wait(run.app, run.number, lambda: False, None)
            unfinished = self._context.ledger.unfinished()
            if not any(services.is_up(other) for other in unfinished if other.app == run.app):
                self.again(run, "it was up when nap went down")
        finally:
            self._leave(run)

    def _wait_for_turn(self, progress: Progress, cancellation: Cancellation) -> bool:
        """Whether there was anybody to wait for."""
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
        """Who cancels a run does so behind the same lock: a ticket that is closed is not written to."""
        with self._lock:
            self._tickets.pop((run.app, run.number)).close()
        story.wake(self._context.home.run(run.app, run.number))

    def _clean_up(self, run: Run) -> None:
        """Its end was told: nobody waits for this, but the app's next run for what it needs of it."""
        self._remove([(run.app, run.number)])
        try:
            pruning.prune(self._context)
            with repository.opened(self._context.home.repository(run.app)) as repo:
                repository.tidy(repo)
        except _EXPECTED as error:
            print(f"after run {run.number} of {run.app}: {error}", file=sys.stderr)

    def _remove(self, runs: Iterable[tuple[str, int]]) -> None:
        """What is left of them; what cannot be removed now is tried again after the next run."""
        cleanup = self._context.cleanup
        cleanup.run_each({*runs, *cleanup.take_failed()}, lambda why: print(why, file=sys.stderr))


def _failure(error: Exception) -> Outcome:
    sentence = getattr(error, "message", "") or str(error)
    hint = getattr(error, "hint", "")
    return Outcome(1, f"{sentence}; {hint}" if hint else sentence)
