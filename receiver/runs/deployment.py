"""An accepted run, from its commit to its outcome. Start reading at `Deployment.carry_out`."""

from __future__ import annotations

import threading

from buildpacks.plan import from_json, to_json
from receiver import ensure_discovery
from receiver.ledger.ledger import Release, Run
from receiver.runs import jobs, services
from receiver.runs.cancellation import Cancellation
from receiver.runs.context import Context
from receiver.runs.prepare import Prepared, Push
from receiver.runs.progress import Progress
from receiver.text.format import counted
from receiver.text.heartbeat import Silence
from registry.errors import RegistryError
from registry.services import Member, RunSlaves, gather
from units import launching
from units.job import Handle, Job, Mpi, Outcome, Slave

GIVEN_UP = Outcome(1, "it was given up")


class Deployment:
    """One run, carried out by one thread.

    `prepared` is the result of preparing the run's commit, if the push has just done that.
    """

    def __init__(
        self,
        progress: Progress,
        context: Context,
        cancellation: Cancellation,
        prepared: Prepared | None = None,
    ) -> None:
        self._progress = progress
        self._context = context
        self._engine = context.engine
        self._cancellation = cancellation
        self._prepared = prepared
        self._handle = Handle(context.home.run(progress.run.app, progress.run.number))

    @property
    def _run(self) -> Run:
        return self._progress.run

    def carry_out(self) -> Outcome:
        """Carry out the run, or continue where a dead receiver left it. Return how it ended.

        On every failure and cancellation the run is stopped and its results are kept.
        """
        try:
            if self._cancellation.outcome:
                return self._cancellation.outcome
            self._context.cleanup.record(self._run.app, self._run.number)
            if self._run.state != "running":
                job = self._place(self._job())
                if job is None:
                    return self._cancellation.outcome or GIVEN_UP
                self._submit(job)
                self._bring_up(job)
                self._progress.update(state="running")
            self._follow()
        finally:
            self._end()
        return self._engine.outcome(self._handle)

    def _job(self) -> Job:
        """Return the job for the engine: the run's release with the run's own options."""
        release = self._release()
        plan = from_json(release.plan)
        if self._prepared:
            image, stack = self._prepared.image, self._prepared.stack
        else:
            builder, say = self._context.builder, self._progress.say
            image = builder.find(release.image, say) or self._context.images.get(release.image)
            stack = builder.stack(plan, say)
        job = jobs.make(
            self._context.home, self._run, self._context.runnable(release.app, plan, image, stack)
        )
        np = job.mpi.np if job.mpi else len(job.processes)
        args, variables = jobs.given(plan, self._run)
        self._progress.update(np=np, service=job.service, args=args, env=variables)
        return job

    def _release(self) -> Release:
        """Return the release that the run was started with, else build its commit into one."""
        context, run = self._context, self._run
        if run.release is not None:
            self._prepared = None
            return context.ledger.get_release(run.app, run.release)
        self._progress.update(state="building")
        prepared = self._prepared = self._prepared or self._prepare()
        known = {each.number for each in context.ledger.releases(run.app)}
        plan = to_json(prepared.plan)
        release = context.ledger.release(run.app, run.commit_id, prepared.image.digest, plan)
        self._progress.update(release=release.number, seconds={**prepared.seconds, **run.seconds})
        if prepared.is_new or release.number not in known:
            named = (release.app, release.number, prepared.image)
            # In the background: the run does not need the readable name of its image.
            threading.Thread(target=context.builder.released, args=named, daemon=True).start()
        context.publisher.release(release)
        return release

    def _prepare(self) -> Prepared:
        """Build the commit. Say nothing if it was checked before acceptance: its lines were shown then."""
        context, run = self._context, self._run
        app = context.ledger.app(run.app)
        push = Push(app, run.commit_id, self._cancellation.descriptor, options=run.options)
        say = _say_nothing if "check" in run.seconds else self._progress.say
        return context.preparer.prepare(push, say)

    def _place(self, job: Job) -> Job | None:
        """Wait for room and return the job with a node for each slave; None when it is cancelled before."""

        def wait(shortage: str) -> None:
            self._progress.update(state="waiting")
            self._progress.say(f"-----> waiting for room: {shortage}")

        placed = self._engine.place(job, self._handle, wait, self._cancellation.is_cancelled)
        if placed is None:
            return None
        self._progress.update(
            slaves=len(placed.slaves),
            slots=tuple(slave.slots for slave in placed.slaves),
            command=jobs.shown(placed, self._engine.hostfile),
        )
        return jobs.announced(self._context.home, placed)

    def _submit(self, job: Job) -> None:
        """Start the job's slaves or processes, unless an earlier receiver did."""
        if self._run.state == "starting" and self._was_submitted():
            return
        services.make_room(self._progress, self._context)
        services.refuse_taken_port(self._progress, self._context, job)
        self._progress.update(state="starting")
        self._progress.say(f"-----> run {job.run} of {job.app} v{job.release}")
        if note := self._engine.note(job):
            self._progress.say(f"       {note}")
        with self._progress.phase("slaves"):
            self._engine.submit(job, self._handle.folder)
            if not job.mpi:
                self._progress.started()

    def _was_submitted(self) -> bool:
        return self._engine.running(self._handle) or self._engine.has_ended(self._handle)

    def _bring_up(self, job: Job) -> None:
        """Start mpirun, or wait until a service answers. Return as well when the run is over before that."""
        with self._progress.phase("gather"):
            if job.mpi:
                if members := self._gather(job):
                    self._start_master(job, job.mpi, members)
            elif job.service:
                services.wait_until_it_answers(
                    self._progress, self._context, self._cancellation, job, self._handle
                )

    def _gather(self, job: Job) -> tuple[Member, ...]:
        """Wait for all of the job's slaves in etcd; return none when the run is over before that.

        Raise RegistryError when slaves are still missing after `gather_timeout`.
        """
        slaves = _by_member(job)

        def greet(member: Member) -> None:
            slots = counted(member.slots, "slot")
            self._progress.say(f"       {slaves[member.name].name}  {member.ip}  {slots}")

        silence = Silence(self._progress.say, "still gathering")

        def is_over() -> bool:
            silence.broken()
            ensure_discovery.ensure(self._context.home, self._progress.say)
            return self._cancellation.is_cancelled() or not self._engine.running(self._handle)

        self._progress.say(f"-----> {counted(len(job.slaves), 'slave')}")
        wanted = RunSlaves(self._context.keys, job.app, job.run, len(job.slaves))
        within = self._context.settings.gather_timeout
        try:
            return gather(self._context.store, wanted, within, greet, is_over)
        except RegistryError as error:
            words = self._last_words()
            if is_over():
                if words:
                    self._progress.say(f"       {words}")
                return ()
            raise RegistryError(error.message, words or error.hint, missing=error.missing) from error

    def _last_words(self) -> str:
        """Return the last lines of the slaves' log in a sentence; empty for an empty log."""
        lines = self._handle.log.read_text(errors="replace").splitlines()[-3:]
        return f"the slaves' log ends with: {' / '.join(lines)}" if lines else ""

    def _start_master(self, job: Job, mpi: Mpi, members: tuple[Member, ...]) -> None:
        slaves = _by_member(job)
        hostfile = launching.hostfile(mpi, [slaves[member.name] for member in members])
        self._progress.say("-----> hostfile")
        for line in hostfile.splitlines():
            self._progress.say(f"       {line}")
        for line in launching.shown(mpi, self._engine.hostfile):
            self._progress.say(f"$ {line}")
        self._engine.start_master(self._handle, {"hostfile": hostfile})
        self._progress.started()

    def _follow(self) -> None:
        """Wait for the run's end. A service that is up replaces the earlier one before that."""
        if self._progress.was_up:
            services.stop_older(self._progress, self._context)
        with self._progress.phase("run"):
            if not self._cancellation.is_cancelled() and self._engine.running(self._handle):
                self._engine.wait(self._handle, None)

    def _end(self) -> None:
        """Stop the run and keep its results. Its remains are removed after its end was reported."""
        try:
            self._engine.stop(self._handle, self._cancellation.outcome or GIVEN_UP)
        finally:
            try:
                self._engine.results(self._handle)
            finally:
                for line in self._handle.remarked:
                    self._progress.say(f"       {line}")


def _by_member(job: Job) -> dict[str, Slave]:
    """Return the job's slaves by their names in etcd."""
    return {f"slave{slave.index}": slave for slave in job.slaves}


def _say_nothing(_line: str) -> None:
    """Drop a line that was shown before."""
