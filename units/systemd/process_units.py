"""The processes of a service or a profile as systemd units, each on the node it was placed on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from units import names
from units.job import Job, Pairs, Process, UnitFile
from units.nodes import scripts
from units.nodes.node import Node
from units.nodes.pull import FETCH_WITHIN
from units.oci import ssh_access
from units.oci.options import (
    OUTPUT,
    Place,
    Words,
    as_app,
    as_its_own,
    command,
    confined,
    is_own_image,
    mounts,
    process_env,
)
from units.render import by_name, render
from units.systemd.unit_files import Site, by_node, common, conditions, identity

# The scripts in a process's folder on its node: the file name there, and the script's name here.
_OF_RUNS = {"keep": "keep", "aloud": "aloud", "follow": "follow", "last": "last", "end": "end"}
_OF_SERVICES = {
    "keep": "keep", "aloud": "aloud", "follow": "hear", "last": "last", "rest": "rest", "crashed": "crashed",
}  # fmt: skip


def render_all(job: Job, nodes: Iterable[Node], site: Site, image_user: str = "") -> tuple[UnitFile, ...]:
    """Return every node's units, named `NODE/UNIT.service`: each process, followed by its announcer."""
    placed = by_node(job.processes, nodes)
    return tuple(
        UnitFile(f"{node.name}/{unit.name}.service", unit.content)
        for node, processes in placed.items()
        for process in processes
        for unit in _units(job, process, node, site, image_user)
    )


def _units(job: Job, process: Process, node: Node, site: Site, image_user: str) -> tuple[UnitFile, UnitFile]:
    name, announcer = unit(job, process), announcer_unit(job, process)
    values = {
        **common(job, node, site),
        "name": name,
        "announcer": announcer,
        "process": process,
        "service": job.service,
        "own_image": is_own_image(job),
        "place": str(place(job, process, site)),
        "image": job.image,
        "container": names.process_container(job, process.name),
        "hostname": _hostname(job, process),
        "words": _words(job, process, node, site, image_user),
        "fetch_within": FETCH_WITHIN,
        "timeout": job.timeout,
        "announces": name.partition("@")[0],
        "what": process.name,
        "which": process.name,
    }
    return (
        render(name, "systemd/templates/process.service.j2", values),
        render(announcer, "systemd/templates/discovery.service.j2", values),
    )


def unit(job: Job, process: Process) -> str:
    return names.process_unit(job, process.name, job.run)


def announcer_unit(job: Job, process: Process) -> str:
    return names.process_discovery_unit(job, process.name, job.run)


def place(job: Job, process: Process, site: Site) -> PurePosixPath:
    """Return the folder of a process on its node."""
    return site.folder(job) / "processes" / process.name


def _words(job: Job, process: Process, node: Node, site: Site, image_user: str) -> Words:
    """Return the runtime's arguments for the container. --add-host makes the app's hostnames resolve."""
    at, folder = conditions(node, site), Place(Path(site.folder(job)), image_user=image_user)
    output = ("--volume", f"{place(job, process, site)}/output:{OUTPUT}")
    who = as_its_own(folder, process) if is_own_image(job) else (*as_app(at, folder), *output)
    others = ((_hostname(job, other), other.address) for other in job.processes)
    known = (word for name, address in others for word in ("--add-host", f"{name}:{address}"))
    return (
        "--name", names.process_container(job, process.name), "--hostname", _hostname(job, process),
        *identity(job), "--network", "host", *known, *confined(at), *who, *mounts(folder, process.name),
        *command(job, process),
    )  # fmt: skip


def _hostname(job: Job, process: Process) -> str:
    return f"{job.app}-{process.name}"


def environment(job: Job, process: Process, image_env: Pairs) -> str:
    """Return the process's environment as a file that its kind of container reads."""
    port = process.inner if process.port else None
    form = ssh_access.listed if is_own_image(job) else ssh_access.environment
    return form(tuple(by_name(process_env(job, image_env, port))))


def process_scripts(job: Job) -> Mapping[str, str]:
    """Return the scripts in a process's folder by file name."""
    wanted = _OF_SERVICES if job.service else _OF_RUNS
    texts = scripts.texts(*wanted.values())
    return {name: texts[script] for name, script in wanted.items()}


def way(job: Job, process: Process) -> str:
    """Return the settings of the script `lead`: iptables chain, address, outer port, inner port, process.

    The chain is named by a hash because iptables limits its name to 28 characters.
    """
    chain = f"NAP-{zlib.crc32(f'{job.prefix}/{job.app}'.encode()):08x}"
    return f"{chain} {process.address} {process.port} {process.inner} {process.name}\n"
