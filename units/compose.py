"""Export a job as a compose file, which runs without nap and without etcd. There is no import."""

from __future__ import annotations

from units import launching
from units.errors import UnitError
from units.job import Job, Mpi, Pairs, Process, Slave, UnitFile
from units.launching import Machine
from units.oci.options import OWN_IMAGES
from units.render import render

NAME = "compose"
_SHARE = "/share"
_HOSTFILE = "/tmp/hostfile"
# The machine is not known at export: assume more ranks than cores. Each slave has an address of its own.
_SOME = Machine(cores=0, rdma=False, interfaces=("eth0",))
# Left out: settings for slaves that share this machine's loopback, for root, and for nap's own agent.
_OF_PROCESSES = {
    "HYDRA_LAUNCHER_EXEC", "NAP_AGENT_STATUS", "OMPI_ALLOW_RUN_AS_ROOT",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_btl_tcp_if_include", "UCX_TLS",
}  # fmt: skip


def units(job: Job) -> tuple[UnitFile]:
    """Return `compose.yaml` alone: a master and its slaves, or a service for each process.

    Raises:
        UnitError: the job's image is not a container image.
    """
    if "@sha256:" not in job.image:
        sentence = f"the image of {job.app} v{job.release} is not an image of containers"
        raise UnitError(sentence, "nap up --engine containers, and push it again")
    template = "nodes" if job.mpi else "services"
    values = _nodes(job, job.mpi) if job.mpi else _services(job)
    known = {"app": job.app, "release": job.release, "image": job.image, "workdir": job.workdir}
    return (render("compose.yaml", f"templates/compose/{template}.yaml.j2", {**known, **values}),)


def _nodes(job: Job, mpi: Mpi) -> dict[str, object]:
    slaves = job.slaves
    env = {**dict(_environment(job)), **dict(_launch(mpi, slaves))}
    slots = [slave.slots for slave in slaves]
    return {
        "env": sorted(env.items()),
        "count": len(slots),
        "slots": slots,
        "even": len(set(slots)) == 1,
        "form": ":" if mpi.is_mpich else " slots=",
        "command": (*_limit(job), *_command(mpi, env)),
        "memory": max(slave.memory or 0 for slave in slaves),
    }


def _launch(mpi: Mpi, slaves: tuple[Slave, ...]) -> Pairs:
    """Return the variables with which a plain `mpirun` runs over all slaves, through a plain `ssh`."""
    pairs = launching.environment(mpi, slaves, _SOME, launching.Ways("ssh", _HOSTFILE))
    return tuple((name, value) for name, value in pairs if name not in _OF_PROCESSES)


def _command(mpi: Mpi, env: dict[str, str]) -> tuple[str, ...]:
    """Return the command without `-np`: mpirun fills the slots of as many slaves as there are."""
    known = launching.known_words(mpi, tuple(env.items()))
    words = ("mpirun", *mpi.options, *mpi.program)
    return launching.script(mpi, known) or tuple(launching.expand(word, known) for word in words)


def _limit(job: Job) -> tuple[str, ...]:
    return ("timeout", "--kill-after=10", str(job.timeout)) if job.timeout else ()


def _services(job: Job) -> dict[str, object]:
    return {
        "processes": [_process(job, process) for process in job.processes],
        "restart": "unless-stopped" if job.service else "no",
    }


def _process(job: Job, process: Process) -> dict[str, object]:
    """Return the template's values. A process without an `argv` runs the image's command as its USER."""
    port = (("PORT", str(process.port)),) if process.port else ()
    return {
        "name": process.name,
        "argv": (*_limit(job), *process.argv) if process.argv else (),
        "rights": () if process.argv else OWN_IMAGES,
        "env": sorted(dict((*_environment(job), *port)).items()),
        "port": process.port,
    }


def _environment(job: Job) -> Pairs:
    return launching.program_environment(job, job.workdir, _SHARE)
