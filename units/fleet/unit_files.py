"""A job as fleet's template units: the cluster places them itself, by what their [X-Fleet] sections ask for.

See https://github.com/coreos/fleet/blob/master/Documentation/unit-files-and-scheduling.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace

from units import launching, names
from units.errors import UnitError
from units.job import Job, Slave, UnitFile
from units.nodes.node import Node
from units.oci.options import Conditions
from units.render import render
from units.systemd.unit_files import (
    Site,
    discovery_template,
    each_slave,
    master_of,
    slave_words,
    slaves_template,
)

NAME = "fleet"
# Of the machines' processors nobody knows here.
_ANY = launching.Machine(cores=sys.maxsize, rdma=False, interfaces=())
# A run's file on each of its machines.
RUNTIME = "runtime"
# Fleet refuses longer lines, in bytes.
_LONGEST = 2048


def units(job: Job, site: Site, arch: str) -> tuple[UnitFile, ...]:
    """Templates of slaves and announcers, and the master, which goes where the first slave is.

    Machines are those with the metadata `arch=ARCH`, and none gets two slaves of an app. Which runtime a
    machine has is in a file there: see `runtime`.

    Raises:
        UnitError: the job has no ranks, no image of containers, or a word that is too long for fleet.
    """
    if job.mpi is None:
        raise UnitError(f"fleet's units are for MPI programs only, so far, and {job.app} is none")
    if "@sha256:" not in job.image:
        sentence = f"the image of {job.app} v{job.release} is not an image of containers"
        raise UnitError(sentence, "nap up --engine containers, and push it again")
    at = Conditions(site.home, _ANY, site.uid, site.pids, host_network=True)
    slaves, master = slaves_template(as_named(job)), names.master_unit(as_named(job))
    values = {
        "app": job.app,
        "run": job.run,
        "folder": str(site.folder(job)),
        "slaves": slaves.removesuffix("@.service"),
        "arch": arch,
    }
    each = {**values, **each_slave(job), "words": slave_words(job, at, site)}
    only = {**values, **master_of(job, job.mpi), "name": master}
    return (
        _short(render(slaves, "fleet/templates/slaves.service.j2", each)),
        _short(render(discovery_template(as_named(job)), "fleet/templates/discovery.service.j2", values)),
        _short(render(f"{master}.service", "fleet/templates/master.service.j2", only)),
    )


def as_named(job: Job) -> Job:
    """The job as its units are called: fleet may still have those of the app's last run, or their states."""
    return replace(job, app=f"{job.app}.{job.run}")


def instances(job: Job, units: Iterable[UnitFile]) -> tuple[UnitFile, ...]:
    """What fleet is told: for each slave one of each template, which its API knows nothing of."""
    return tuple(UnitFile(name, unit.content) for unit in units for name in _names(unit.name, job.slaves))


def names_of(job: Job, slaves: Iterable[Slave]) -> tuple[str, ...]:
    """The units that belong to these slaves; the master to the first one."""
    slaves, named = tuple(slaves), as_named(job)
    templates = (slaves_template(named), discovery_template(named))
    own = tuple(name for template in templates for name in _names(template, slaves))
    return (*own, f"{names.master_unit(named)}.service") if job.slaves[0] in slaves else own


def _names(template: str, slaves: Iterable[Slave]) -> list[str]:
    if "@." not in template:
        return [template]
    return [template.replace("@.", f"@{slave.index}.") for slave in slaves]


def runtime(node: Node) -> str:
    """What units find in the file `RUNTIME` on this machine."""
    options = "--events-backend=none" if node.kind == "podman" else ""
    return f"KIND={node.kind}\nRUNTIME={node.runtime}\nOPTIONS={options}\n"


def _short(unit: UnitFile) -> UnitFile:
    longest = max(len(line.encode()) for line in unit.content.split("\n"))
    if longest >= _LONGEST:
        sentence = f"a line of {unit.name} has {longest:,} bytes, and fleet takes {_LONGEST - 1:,}"
        raise UnitError(sentence, "put the long word, or script, into a file of the tree")
    return unit
