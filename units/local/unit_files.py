"""A job's units as files of the local engine."""

from __future__ import annotations

from pathlib import Path

from units import launching, names
from units.job import Job, Pairs, Process, Slave, UnitFile
from units.local.requests import FOLDER as SLAVES
from units.render import by_name, discovery, render

_HERE = Path(__file__).parent
# Relative to the app's folder, where mpirun is started.
HOSTFILE = "../hostfile"
# The agent is copied to the run's folder: nap can be replaced while the run continues.
AGENT = "agent"


def render_all(job: Job, folder: Path, machine: launching.Machine) -> tuple[UnitFile, ...]:
    """Return the units of slaves and master, or of processes, with discovery units; `folder` is the run's."""
    if job.mpi is None:
        return tuple(unit for process in job.processes for unit in _process_units(job, process, folder))
    hosts = str(folder / "hostfile")
    ways = launching.Ways(str(folder / AGENT), hosts)
    launch = launching.environment(job.mpi, job.slaves, machine, ways)
    env = (*_run_env(job, folder), *launch, ("NAP_SLAVES", str(folder / SLAVES)))
    slaves = [unit for slave in job.slaves for unit in _slave_units(job, slave, env, folder)]
    return (*slaves, _master_unit(job, env))


def _process_units(job: Job, process: Process, folder: Path) -> tuple[UnitFile, ...]:
    name = names.process_unit(job, process.name)
    port = (("PORT", str(process.port)),) if process.port else ()
    values = {
        "name": name,
        "hostname": f"{job.app}-{process.name}",
        "argv": process.argv,
        "env": by_name((*_run_env(job, folder), *port)),
    }
    unit = render(name, "local/templates/process.json.j2", values)
    announcer = names.discovery_unit(job, 1, process.name)
    return (unit, discovery(announcer, name, process.key, process.member))


def _slave_units(job: Job, slave: Slave, env: Pairs, folder: Path) -> tuple[UnitFile, ...]:
    name = names.slaves_unit(job, slave.index)
    own = (("NAP_SLAVE_FOLDER", str(folder / SLAVES / slave.name)),)
    values = {
        "name": name,
        "slave": slave,
        "argv": ("/bin/sh", str(_HERE / "slave.sh"), slave.name),
        "env": by_name((*env, *own)),
    }
    unit = render(name, "local/templates/slaves.json.j2", values)
    return (unit, discovery(names.discovery_unit(job, slave.index), name, slave.key, slave.member))


def _master_unit(job: Job, env: Pairs) -> UnitFile:
    assert job.mpi is not None
    name = names.master_unit(job)
    values = {
        "name": name,
        "hostname": f"{job.app}-master",
        "place": job.slaves[0].name,
        "mpich": job.mpi.is_mpich,
        "script": bool(job.mpi.script),
        "argv": launching.command(job.mpi, launching.known_words(job.mpi, env), HOSTFILE),
        "env": by_name(env),
    }
    return render(name, "local/templates/master.json.j2", values)


def _run_env(job: Job, folder: Path) -> Pairs:
    app, temporary = str(folder / "app"), str(folder / "tmp")
    found = launching.program_environment(job, app, str(folder / "share"))
    return (*found, ("PWD", app), ("TMPDIR", temporary))
