"""Services: each stays up until the app's next one replaces it. It is up once its port answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from receiver.errors import ReceiverError
from receiver.ledger.ledger import Run
from receiver.runs.cancellation import Cancellation
from receiver.runs.context import Context
from receiver.runs.progress import Progress
from receiver.text.format import counted
from receiver.text.heartbeat import Silence
from units.errors import UnitError
from units.job import Handle, Job, Outcome
from units.supervisor.probe import answers

WENT_DOWN = Outcome(130, "nap went down", "cancelled")
_BETWEEN_TRIES = 0.05


def is_up(run: Run) -> bool:
    return run.service and run.state == "running"


def older(context: Context, run: Run) -> list[Run]:
    """Return the app's earlier runs that are services and up."""
    others = (other for other in context.ledger.unfinished() if other.app == run.app)
    return [other for other in others if is_up(other) and other.number < run.number]


def predecessor(context: Context, run: Run) -> Run | None:
    """Return the service to start again when `run` does not come up; None for none, or if it still runs."""
    before = [other for other in context.ledger.runs(run.app) if other.number < run.number and other.service]
    given_way = _given_way_to(run).reason
    found = next((other for other in reversed(before) if is_up(other) or other.reason == given_way), None)
    if found is None or context.engine.running(Handle(context.home.run(found.app, found.number))):
        return None
    return found


def replaced(context: Context, progress: Progress, cancellation: Cancellation) -> Run | None:
    """Return the earlier service to start again because this one did not come up; None otherwise."""
    if not progress.run.service or progress.was_up or cancellation.outcome:
        return None
    return predecessor(context, progress.run)


def comes_back(outcome: Outcome) -> bool:
    """Return whether a service with this outcome is started again when nap comes up."""
    return outcome == WENT_DOWN or outcome.state == "lost"


def _given_way_to(run: Run) -> Outcome:
    return Outcome(0, f"run {run.number} took its place", "replaced")


def make_room(progress: Progress, context: Context) -> None:
    """Stop the service that is up before the new one starts, if the engine has both listen on one port."""
    if context.engine.makes_room:
        stop_older(progress, context)


def stop_older(progress: Progress, context: Context) -> None:
    """Stop the app's earlier services that are up, and report each."""
    for other in older(context, progress.run):
        progress.say(f"-----> stopping run {other.number}, which was up with v{other.release}")
        with said_if_it_stays(progress, other):
            context.engine.stop(
                Handle(context.home.run(other.app, other.number)), _given_way_to(progress.run)
            )


@contextmanager
def said_if_it_stays(progress: Progress, other: Run) -> Iterator[None]:
    """Report an error from stopping `other` in this run's story and go on: it must not fail this run."""
    try:
        yield
    except (UnitError, OSError) as error:
        progress.say(f"       run {other.number} could not be stopped: {error}")
        progress.say(f"       to try it again: nap cancel {other.app} {other.number}")


def refuse_taken_port(progress: Progress, context: Context, job: Job) -> None:
    """Raise ReceiverError when another program listens on the port of the job's web process.

    Skip the check while an earlier service of the app is up: that one can be what answers.
    """
    if older(context, progress.run) and not context.engine.makes_room:
        return
    for process in job.processes:
        if process.port and answers(process.address, process.port):
            place = f"port {process.port} of {process.address}"
            raise ReceiverError(
                f"{place}, which is {job.app}'s, is taken by another program",
                f"end that one, or choose another port: nap config {job.app} port=N",
            )


def _crashes(handle: Handle) -> str:
    """Return the last crash and the number of crashes in the service's output; empty without a crash."""
    with handle.output.open(errors="replace") as lines:
        crashes = [line for line in lines if line.startswith("nap: ") and "; starting it again in " in line]
    if not crashes:
        return ""
    ended = crashes[-1].removeprefix("nap: ").partition(";")[0]
    return f"{ended}, {counted(len(crashes), 'time')} so far; its output says why"


def wait_until_it_answers(
    progress: Progress, context: Context, cancellation: Cancellation, job: Job, handle: Handle
) -> None:
    """Wait until the service's port answers, and record that it is up. Return early when the run ends.

    Raise ReceiverError when the port does not answer within `answer_timeout` seconds.
    """
    address, port = next((one.address, one.port) for one in job.processes if one.port)
    deadline = time.monotonic() + context.settings.answer_timeout
    silence = Silence(progress.say, f"waiting for an answer on port {port}")
    while not context.engine.answers(handle, port):
        silence.broken()
        if context.engine.wait(handle, _BETWEEN_TRIES) or cancellation.is_cancelled():
            return
        if time.monotonic() >= deadline:
            raise ReceiverError(
                f"{job.app} did not answer on port {port} within {context.settings.answer_timeout} s",
                _crashes(handle) or "it has to listen on $PORT, at 0.0.0.0",
            )
    progress.up(
        f"-----> {job.app} is up: http://{address}:{port}",
        f"       it stays up; see: nap ps, nap logs {job.app} -f",
    )
