"""Turns a release and a run's options into a job for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from buildpacks.mpi_xml.manifest import Manifest, layout, may_be_split, override
from buildpacks.packs import folder, program
from buildpacks.plan import WEB, Plan
from buildpacks.stacks.stack import Stack
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.ledger.ledger import Run
from registry.images.trees import Image
from registry.keys import Keys
from registry.services import Member
from units import launching, names
from units.job import Job, Mpi, Pairs, Process, Slave

OPTIONS = ("hosts", "np", "slots", "args", "timeout")
FLAGS = ("detach", "replace", "strict")
_USUAL = {"hosts": "4", "np": "8", "slots": "2", "args": "'-n 100'", "timeout": "90s"}
_NODE = "localhost"


def parse_options(words: list[str]) -> dict[str, str]:
    """Return the options of `git push -o` and `nap run -o`, such as `np=8` and `detach`, by name.

    Raise ReceiverError for an unknown option, a missing value, or a value for a flag.
    """
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name in OPTIONS and not equals:
            usual = f"for example: -o {name}={_USUAL[name]}"
            raise ReceiverError(f"the push option {name!r} has no value", usual)
        if name in FLAGS and equals:
            raise ReceiverError(f"the push option {name!r} takes no value", f"-o {name}")
        if name not in (*OPTIONS, *FLAGS):
            listed = ", ".join([*(f"{option}=" for option in OPTIONS), *FLAGS])
            raise ReceiverError(f"there is no push option {word!r}", f"the options are {listed}")
        options[name] = value
    return options


def check_options(plan: Plan, options: Mapping[str, str]) -> None:
    """Raise ReceiverError or BuildpackError for options that do not fit the plan, before any change."""
    over = _over(plan.manifest or Manifest(hosts=1), options)
    ranks = [name for name in OPTIONS if name in options and name != "timeout"]
    if plan.manifest is None and ranks:
        raise ReceiverError(
            f"{', '.join(ranks)} is for MPI programs, and this app runs its {plan.run_by or 'own command'}",
            f"leave out: -o {ranks[0]}=",
        )
    if plan.service and over.timeout:
        raise ReceiverError("a service stays up: it takes no timeout", "leave out: -o timeout=")


def _over(manifest: Manifest, options: Mapping[str, str]) -> Manifest:
    """Return the manifest with a run's own options. Raise BuildpackError for a value out of range."""
    return override(manifest, {name: value for name, value in options.items() if name in OPTIONS})


@dataclass(frozen=True)
class Runnable:
    """The parts of a release that a run needs.

    `env` is the environment of its programs (see `Builder.environment`), `port` the port of a service.
    """

    plan: Plan
    image: Image
    stack: Stack
    env: Pairs
    port: int | None


def make(home: Home, run: Run, what: Runnable) -> Job:
    """Return the job of `run`. The same run gives the same job, even after a restart."""
    job, image = sketch(home, run, what.plan, what.port), what.image
    return replace(
        job,
        image=image.reference or image.digest,
        tree=image.tree,
        workdir=image.workdir,
        env=(*what.env, *job.env),
        mpi=job.mpi and replace(job.mpi, flavour=image.flavour or what.stack.flavour),
    )


def sketch(home: Home, run: Run, plan: Plan, port: int | None = None) -> Job:
    """Return the job of `run` as far as it is known without the image and the image's MPI."""
    job = Job(
        app=run.app,
        run=run.number,
        release=run.release or 0,
        prefix=home.id,
        image="",
        tree=None,
        stack=plan.stack,
        visible=(home.stacks,) if home.stacks.is_dir() else (),
        service=plan.service,
    )
    if plan.manifest is None:
        timeout = _over(Manifest(hosts=1), run.options).timeout
        return replace(job, processes=_processes(home, job, plan, port), timeout=timeout)
    return _with_ranks(home, job, _over(plan.manifest, run.options), plan.module)


def given(plan: Plan, run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the arguments of the program of `run`, and the names of its variables."""
    manifest = _over(plan.manifest or Manifest(hosts=1), run.options)
    variables = dict.fromkeys(name for name, _ in (*plan.env, *manifest.env))
    return manifest.args, tuple(variables)


def shown(job: Job, hosts: str) -> tuple[str, ...]:
    """Return the job's commands as a person would type them; mpirun uses the hostfile at path `hosts`."""
    if job.mpi:
        return tuple(launching.shown(job.mpi, hosts))
    return tuple(f"{process.name}: {' '.join(process.argv[-1:])}" for process in job.processes)


def _with_ranks(home: Home, job: Job, manifest: Manifest, module: str) -> Job:
    ranks = layout(manifest)
    slaves = names.slaves(job.app, job.run, ranks, str(home.root))
    mpi = Mpi(
        flavour="",
        np=sum(ranks),
        program=() if manifest.run else program.argv(manifest, module),
        script=program.script(manifest) if manifest.run else (),
        args=manifest.args if manifest.run else (),
        options=manifest.mpirun,
        env=manifest.env,
    )
    return replace(
        job,
        env=(("OMP_NUM_THREADS", str(manifest.cpus_per_rank)),),
        slaves=tuple(_announced(home, job, _limited(slave, manifest)) for slave in slaves),
        splits=may_be_split(manifest),
        mpi=mpi,
        timeout=manifest.timeout,
        results=manifest.results,
    )


def _limited(slave: Slave, manifest: Manifest) -> Slave:
    """Set the slave's limits. One core per rank is MPI's default: cores are limited only above that."""
    per_rank = manifest.cpus_per_rank
    return replace(slave, cpus=slave.slots * per_rank if per_rank > 1 else None, memory=manifest.memory)


def announced(home: Home, job: Job) -> Job:
    """Return the job with the etcd entries of its slaves and processes at their present places."""
    slaves = tuple(_announced(home, job, slave) for slave in job.slaves)
    processes = tuple(_announced_process(home, job, process) for process in job.processes)
    return replace(job, slaves=slaves, processes=processes)


def _announced(home: Home, job: Job, slave: Slave) -> Slave:
    member = Member(
        name=f"slave{slave.index}", ip=slave.address, port=slave.port, slots=slave.slots,
        node=slave.node or _NODE, release=job.release, run=job.run,
    )  # fmt: skip
    return replace(slave, key=Keys(home.id).slave(job.app, slave.index), member=member.to_json())


def _announced_process(home: Home, job: Job, process: Process) -> Process:
    member = Member(
        name=process.name, ip=process.address, port=process.port or 0, slots=1,
        node=process.node or _NODE, release=job.release, run=job.run,
    )  # fmt: skip
    key = Keys(home.id).service(process.name, job.app, names.process_unit(job, process.name))
    return replace(process, key=key, member=member.to_json())


def _processes(home: Home, job: Job, plan: Plan, port: int | None) -> tuple[Process, ...]:
    commands = {process.name: folder.command(process, plan.pack) for process in plan.processes}
    made = (Process(name, argv, port if name == WEB else None) for name, argv in commands.items())
    return tuple(_announced_process(home, job, process) for process in made)
