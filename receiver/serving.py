"""Services stay up: the next one takes the older one's place, and is up once its port answers."""

from __future__ import annotations

import socket
import time

from receiver.errors import ReceiverError
from receiver.ledger import Run
from receiver.parts import Parts
from receiver.progress import Progress
from receiver.silence import Silence
from receiver.ticket import Ticket
from units.job import Handle, Job, Outcome

WENT_DOWN = Outcome(130, "nap went down", "cancelled")
_BETWEEN_TRIES = 0.05


def is_up(run: Run) -> bool:
    return run.service and run.state == "running"


def older(parts: Parts, run: Run) -> list[Run]:
    """The services of the same app that are up, from before this run."""
    others = (other for other in parts.ledger.unfinished() if other.app == run.app)
    return [other for other in others if is_up(other) and other.number < run.number]


def predecessor(parts: Parts, run: Run) -> Run | None:
    """The service that is to come back when `run` does not come up."""
    before = [other for other in parts.ledger.runs(run.app) if other.number < run.number and other.service]
    given_way = _given_way_to(run).reason
    return next((other for other in reversed(before) if is_up(other) or other.reason == given_way), None)


def comes_back(outcome: Outcome) -> bool:
    """Whether a service that ended like this is to be up again with nap."""
    return outcome == WENT_DOWN or outcome.state == "lost"


def _given_way_to(run: Run) -> Outcome:
    return Outcome(0, f"run {run.number} took its place", "replaced")


def replace_older(progress: Progress, parts: Parts) -> None:
    """Stop the service that is up: the new one listens on the same port."""
    for other in older(parts, progress.run):
        progress.say(f"-----> stopping run {other.number}, which was up with v{other.release}")
        parts.engine.stop(Handle(parts.home.run(other.app, other.number)), _given_way_to(progress.run))


def refuse_taken_port(job: Job) -> None:
    """ReceiverError when somebody else listens where the job's web process is to."""
    for process in job.processes:
        if process.port and _answers(process.port):
            raise ReceiverError(
                f"port {process.port} of 127.0.0.1, which is {job.app}'s, is taken by another program",
                f"end that one, or choose another port: nap config {job.app} port=N",
            )


def wait_until_it_answers(progress: Progress, parts: Parts, ticket: Ticket, job: Job, handle: Handle) -> None:
    """ReceiverError when the port does not answer in time, or the process ends before it did."""
    port = next(process.port for process in job.processes if process.port)
    deadline = time.monotonic() + parts.settings.answer_timeout
    silence = Silence(progress.say, f"waiting for an answer on port {port}")
    while not _answers(port):
        silence.broken()
        if parts.engine.wait(handle, _BETWEEN_TRIES) or ticket.is_cancelled():
            return
        if time.monotonic() >= deadline:
            raise ReceiverError(
                f"{job.app} did not answer on port {port} within {parts.settings.answer_timeout} s",
                "it has to listen on $PORT, at 127.0.0.1 or 0.0.0.0",
            )
    progress.say(f"-----> {job.app} is up: http://127.0.0.1:{port}")
    progress.say(f"       it stays up; see: nap ps, nap logs {job.app} -f")
    progress.up()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
