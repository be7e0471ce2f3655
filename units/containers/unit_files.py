"""A job's units as containers: the argv of the runtime's client for each unit."""

from __future__ import annotations

from units import launching, names
from units.job import Job, Pairs, Process, Slave, UnitFile
from units.oci import ssh_access
from units.oci.options import (
    AGENT,
    HOSTFILE,
    MASTER,
    RANKS,
    REMARKS,
    Conditions,
    Place,
    Words,
    as_app,
    as_its_own,
    command,
    confined,
    daemons,
    is_own_image,
    limits,
    mounts,
    output,
    process_env,
    run_env,
    share,
    whatever,
)
from units.oci.ssh_access import INSIDE
from units.render import by_name, discovery, render

MPI, SERVICE = "mpi", "service"


def render_all(job: Job, place: Place, at: Conditions) -> tuple[UnitFile, ...]:
    """Return the units of the slaves and the master, or of the processes, with their discovery units."""
    if job.mpi is None:
        return tuple(unit for process in job.processes for unit in _process_units(job, process, place, at))
    launch = launching.environment(
        job.mpi, job.slaves, at.machine, launching.Ways(AGENT, HOSTFILE, at.interface)
    )
    env = run_env(job, place.image_env)
    slaves = [unit for slave in job.slaves for unit in _slave_units(job, slave, env, place, at)]
    # Open MPI 5's launcher warns when a child is faster than itself: keep that out of the output.
    aside = ("PMIX_OUTPUT_STDERR_FD", str(REMARKS))
    return (*slaves, _master_unit(job, (*env, *launch, aside)))


def _slave_units(job: Job, slave: Slave, env: Pairs, place: Place, at: Conditions) -> tuple[UnitFile, ...]:
    name = names.slaves_unit(job, slave.index)
    container = names.slave_container(job, slave.index)
    port = place.ports.get(slave.name, ssh_access.SSH_PORT)
    files = ssh_access.folder_of(slave.index, slave.name)
    words = (
        "run", "--detach", *_identity(job, container, MPI), *_network(job, slave.name, at, port),
        *confined(at), *limits(slave, at), *as_app(at, place), *mounts(place, files),
        *((*output(place), *daemons(place)) if files == ssh_access.MASTER else ()),
        *share(place), *RANKS, *whatever(job.image), "/usr/sbin/sshd", "-D", "-e",
        "-f", f"{INSIDE}/sshd_config",
    )  # fmt: skip
    values = {"name": name, "slave": slave, "container": container, "port": port, "argv": words}
    values |= {"files": files, "env": by_name(env)}
    unit = render(name, "containers/templates/slaves.json.j2", values)
    return (unit, discovery(names.discovery_unit(job, slave.index), name, slave.key, slave.member))


def _master_unit(job: Job, env: Pairs) -> UnitFile:
    """Return the unit of mpirun, or of the script that calls it. It runs in the first slave's container."""
    assert job.mpi is not None
    name, container = names.master_unit(job), names.slave_container(job, 1)
    words = launching.known_words(job.mpi, env)
    argv = ("exec", container, *MASTER, *launching.command(job.mpi, words, HOSTFILE))
    hostname = names.slave(job.app, 1)
    values = {"name": name, "hostname": hostname, "container": container, "argv": argv}
    kind = {"mpich": job.mpi.is_mpich, "script": bool(job.mpi.script)}
    return render(name, "containers/templates/master.json.j2", {**values, **kind, "env": by_name(env)})


def _process_units(job: Job, process: Process, place: Place, at: Conditions) -> tuple[UnitFile, ...]:
    name, hostname = names.process_unit(job, process.name), f"{job.app}-{process.name}"
    container = names.process_container(job, process.name)
    env = by_name(process_env(job, place.image_env, process.port))
    who = as_its_own(place, process) if is_own_image(job) else (*as_app(at, place), *output(place))
    argv = (
        "create", *_identity(job, container, SERVICE), *_network(job, hostname, at, process.port),
        *confined(at), *who, *mounts(place, process.name), *command(job, process),
    )  # fmt: skip
    values = {"name": name, "hostname": hostname, "container": container, "process": process.name}
    own = {"port": process.port, "argv": argv, "env": env}
    unit = render(name, "containers/templates/process.json.j2", {**values, **own})
    return (unit, discovery(names.discovery_unit(job, 1, process.name), name, process.key, process.member))


def _identity(job: Job, container: str, kind: str) -> Words:
    labels = {"nap.app": job.app, "nap.run": str(job.run), "nap.kind": kind}
    return ("--name", container, *(word for item in labels.items() for word in ("--label", "=".join(item))))


def _network(job: Job, hostname: str, at: Conditions, port: int | None = None) -> Words:
    """Return the network options: a run's containers resolve each other's hostnames on the app's network.

    On the machine's network a container resolves only its own. Another slave's name would resolve to this
    machine there, and MPICH would start that slave's ranks in the master.
    """
    if at.host_network:
        return ("--network", "host", "--hostname", hostname, "--add-host", f"{hostname}:127.0.0.1")
    forwarded = ("--publish", f"127.0.0.1::{port}") if port and at.forwarded else ()
    own = ("--network", names.network(job), "--network-alias", hostname)
    return (*own, "--hostname", hostname, *forwarded)
