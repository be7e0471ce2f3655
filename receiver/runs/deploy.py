"""The way of a push once it is accepted: read `deploy` from top to bottom."""

from __future__ import annotations

import threading

from buildpacks.plan import from_json, to_json
from receiver import ensure_discovery
from receiver.ledger.ledger import Release
from receiver.runs import jobs, ports
from receiver.runs.cancellation import Ticket
from receiver.runs.context import Parts
from receiver.runs.prepare import Prepared, Push
from receiver.runs.progress import Progress
from receiver.runs.services import make_room, refuse_taken_port, stop_older, wait_until_it_answers
from receiver.text.format import counted
from receiver.text.heartbeat import Silence
from registry.errors import RegistryError
from registry.services import Member, gather
from units import launching
from units.job import Handle, Job, Mpi, Outcome, Slave

GIVEN_UP = Outcome(1, "it was given up")


def deploy(progress: Progress, parts: Parts, ticket: Ticket, prepared: Prepared | None = None) -> Outcome:
    """From a recorded run to its outcome; picks a run up where a receiver that died has left it.

    `prepared` is what the run's commit has just become, where that is known. Whatever fails, and whoever
    cancelled the run, nothing of it is left.
    """
    handle = Handle(parts.home.run(progress.run.app, progress.run.number))
    try:
        if ticket.outcome:
            return ticket.outcome
        parts.cleanup.record(progress.run.app, progress.run.number)
        if progress.run.state != "running":
            release, prepared = _release(progress, parts, ticket, prepared)
            job = _place(progress, parts, ticket, _job(progress, parts, release, prepared), handle)
            if job is None:
                return ticket.outcome or GIVEN_UP
            if not _was_submitted(progress, parts, handle):
                _submit(progress, parts, job, handle)
            with progress.phase("gather"):
                _bring_up(progress, parts, ticket, job, handle)
            progress.update(state="running")
        if progress.was_up:
            stop_older(progress, parts)
        with progress.phase("run"):
            if not ticket.is_cancelled() and parts.engine.running(handle):
                parts.engine.wait(handle, None)
    finally:
        _end(progress, parts, ticket, handle)
    return parts.engine.outcome(handle)


def _end(progress: Progress, parts: Parts, ticket: Ticket, handle: Handle) -> None:
    """It goes on no more, and its results stay; what is left of it is removed once its end was told."""
    try:
        parts.engine.stop(handle, ticket.outcome or GIVEN_UP)
    finally:
        try:
            parts.engine.results(handle)
        finally:
            for line in handle.remarked:
                progress.say(f"       {line}")


def _place(progress: Progress, parts: Parts, ticket: Ticket, job: Job, handle: Handle) -> Job | None:
    """The job with its slaves' nodes, once there is room for them; None when it is cancelled before."""

    def told(shortage: str) -> None:
        progress.update(state="waiting")
        progress.say(f"-----> waiting for room: {shortage}")

    placed = parts.engine.place(job, handle, told, ticket.is_cancelled)
    if placed is None:
        return None
    progress.update(
        slaves=len(placed.slaves),
        slots=tuple(slave.slots for slave in placed.slaves),
        command=jobs.shown(placed, parts.engine.hostfile),
    )
    return jobs.announced(parts.home, placed)


def _submit(progress: Progress, parts: Parts, job: Job, handle: Handle) -> None:
    make_room(progress, parts)
    refuse_taken_port(progress, parts, job)
    progress.update(state="starting")
    progress.say(f"-----> run {job.run} of {job.app} v{job.release}")
    if note := parts.engine.note(job):
        progress.say(f"       {note}")
    with progress.phase("slaves"):
        parts.engine.submit(job, handle.folder)
        if not job.mpi:
            progress.started()


def _bring_up(progress: Progress, parts: Parts, ticket: Ticket, job: Job, handle: Handle) -> None:
    if job.mpi:
        members = _gather(progress, parts, ticket, job, handle)
        if not members:
            return
        _start_master(progress, parts, job.mpi, job, handle, members)
    elif job.service:
        wait_until_it_answers(progress, parts, ticket, job, handle)


def _release(
    progress: Progress, parts: Parts, ticket: Ticket, prepared: Prepared | None
) -> tuple[Release, Prepared | None]:
    """The release the run was started with, else what its commit becomes, as it was just prepared."""
    run = progress.run
    if run.release is not None:
        return parts.ledger.get_release(run.app, run.release), None
    progress.update(state="building")
    if prepared is None:
        shown = progress.say if "check" not in run.seconds else _unheard
        push = Push(parts.ledger.app(run.app), run.commit_id, ticket.descriptor, options=run.options)
        prepared = parts.preparer.prepare(push, shown)
    plan = to_json(prepared.plan)
    known = {each.number for each in parts.ledger.releases(run.app)}
    release = parts.ledger.release(run.app, run.commit_id, prepared.image.digest, plan)
    progress.update(release=release.number, seconds={**prepared.seconds, **run.seconds})
    if prepared.is_new or release.number not in known:
        named = (release.app, release.number, prepared.image)
        # Nothing of the run waits for what people may call its image.
        threading.Thread(target=parts.builder.released, args=named, daemon=True).start()
    parts.publisher.release(release)
    return release, prepared


def _unheard(_line: str) -> None:
    """The pusher has seen these lines already: the same inputs gave them before the push was accepted."""


def _job(progress: Progress, parts: Parts, release: Release, prepared: Prepared | None) -> Job:
    plan = from_json(release.plan)
    if prepared:
        image, stack = prepared.image, prepared.stack
    else:
        image = parts.builder.find(release.image, progress.say) or parts.images.get(release.image)
        stack = parts.builder.stack(plan, progress.say)
    env = parts.builder.environment(plan, stack, image)
    port = ports.of(parts.ledger, progress.run.app) if plan.service else None
    job = jobs.make(parts.home, progress.run, plan, image, stack, env, port)
    np = job.mpi.np if job.mpi else len(job.processes)
    args, variables = jobs.given(plan, progress.run)
    progress.update(np=np, service=job.service, args=args, env=variables)
    return job


def _was_submitted(progress: Progress, parts: Parts, handle: Handle) -> bool:
    """A run that is recorded as starting, and of which something runs or an end was kept."""
    begun = progress.run.state == "starting"
    return begun and (parts.engine.running(handle) or parts.engine.has_ended(handle))


def _gather(progress: Progress, parts: Parts, ticket: Ticket, job: Job, handle: Handle) -> tuple[Member, ...]:
    """All of the job's slaves, as etcd knows them; none, when the run is over before that."""
    slaves = _by_member(job)

    def greet(member: Member) -> None:
        progress.say(f"       {slaves[member.name].name}  {member.ip}  {counted(member.slots, 'slot')}")

    silence = Silence(progress.say, "still gathering")

    def over() -> bool:
        silence.broken()
        ensure_discovery.ensure(parts.home, progress.say)
        return ticket.is_cancelled() or not parts.engine.running(handle)

    progress.say(f"-----> {counted(len(job.slaves), 'slave')}")
    deadline = parts.settings.gather_timeout
    try:
        return gather(
            parts.store, parts.keys, job.app, job.run, len(job.slaves), deadline, greet, over
        )  # fmt: skip
    except RegistryError as error:
        if over():
            if words := _last_words(handle):
                progress.say(f"       {words}")
            return ()
        raise RegistryError(
            error.message, _last_words(handle) or error.hint, missing=error.missing
        ) from error


def _by_member(job: Job) -> dict[str, Slave]:
    """The job's slaves by what etcd calls them."""
    return {f"slave{slave.index}": slave for slave in job.slaves}


def _last_words(handle: Handle) -> str:
    """Of the slaves; empty when they have said nothing."""
    lines = handle.log.read_text(errors="replace").splitlines()[-3:]
    return f"the slaves' log ends with: {' / '.join(lines)}" if lines else ""


def _start_master(
    progress: Progress, parts: Parts, mpi: Mpi, job: Job, handle: Handle, members: tuple[Member, ...]
) -> None:
    slaves = _by_member(job)
    hostfile = launching.hostfile(mpi, [slaves[member.name] for member in members])
    progress.say("-----> hostfile")
    for line in hostfile.splitlines():
        progress.say(f"       {line}")
    for line in launching.shown(mpi, parts.engine.hostfile):
        progress.say(f"$ {line}")
    parts.engine.start_master(handle, {"hostfile": hostfile})
    progress.started()
