"""Render a job as fleet's template units, which the cluster places by their [X-Fleet] sections.

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
# The processors of the machines are not known here.
_ANY = launching.Machine(cores=sys.maxsize, rdma=False, interfaces=())
# The name of a file of the run on each of its machines: see `runtime`.
RUNTIME = "runtime"
# Bytes: fleet refuses lines of this length or longer.
_LONGEST = 2048


def units(job: Job, site: Site, arch: str) -> tuple[UnitFile, ...]:
    """Return the templates of slaves and announcers, and the master's unit, which follows the first slave.

    Units go to machines with the metadata `arch=ARCH`, and no machine gets two slaves of an app. The runtime
    of a machine is in a file there: see `runtime`.

    Raises:
        UnitError: the job has no ranks, no container image, or a word that is too long for fleet.
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
    """Return the job with its run's number in the app's name, for the names of units.

    Fleet can still have the units of the app's last run, or their states.
    """
    return replace(job, app=f"{job.app}.{job.run}")


def instances(job: Job, units: Iterable[UnitFile]) -> tuple[UnitFile, ...]:
    """Return the units to submit: instances for each slave. Fleet's API does not know templates."""
    return tuple(UnitFile(name, unit.content) for unit in units for name in _names(unit.name, job.slaves))


def names_of(job: Job, slaves: Iterable[Slave]) -> tuple[str, ...]:
    """Return the names of these slaves' units. The master's unit belongs to the job's first slave."""
    slaves, named = tuple(slaves), as_named(job)
    templates = (slaves_template(named), discovery_template(named))
    own = tuple(name for template in templates for name in _names(template, slaves))
    return (*own, f"{names.master_unit(named)}.service") if job.slaves[0] in slaves else own


def _names(template: str, slaves: Iterable[Slave]) -> list[str]:
    if "@." not in template:
        return [template]
    return [template.replace("@.", f"@{slave.index}.") for slave in slaves]


def runtime(node: Node) -> str:
    """Return the content of the file `RUNTIME` for this machine, which units read as an EnvironmentFile."""
    options = "--events-backend=none" if node.kind == "podman" else ""
    return f"KIND={node.kind}\nRUNTIME={node.runtime}\nOPTIONS={options}\n"


def _short(unit: UnitFile) -> UnitFile:
    longest = max(len(line.encode()) for line in unit.content.split("\n"))
    if longest >= _LONGEST:
        sentence = f"a line of {unit.name} has {longest:,} bytes, and fleet takes {_LONGEST - 1:,}"
        raise UnitError(sentence, "put the long word, or script, into a file of the tree")
    return unit
