"""The systemd units of an MPI job: its templates and the commands in them, for each of its nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from units import launching, names
from units.errors import UnitError
from units.job import Job, Mpi, Pairs, Process, Slave, UnitFile
from units.nodes.node import Node
from units.nodes.pull import FETCH_WITHIN
from units.oci import ssh_access
from units.oci.options import (
    AGENT,
    HOSTFILE,
    MASTER,
    RANKS,
    REMARKS,
    SHARE,
    Conditions,
    Place,
    Words,
    as_app,
    confined,
    daemons,
    limits,
    mounts,
    output,
    run_env,
    whatever,
)
from units.oci.ssh_access import INSIDE
from units.render import render

# The shell scripts in a run's folder on a node.
SCRIPTS = ("fetch", "keep", "master", "end", "follow", "last")
Seated = TypeVar("Seated", Slave, Process)


@dataclass(frozen=True)
class Site:
    """The settings for all runs of a home: its path `home` and its id `prefix` ("" for the default home).

    Programs run as `uid`, with at most `pids` processes in a container. `share` is the nodes' shared
    directory, "" for none.
    """

    home: str
    prefix: str
    uid: int
    pids: int
    share: str = ""

    def folder(self, job: Job) -> PurePosixPath:
        """Return the folder of a run's files on a node, removed after it. Only a service's is on disk."""
        root = PurePosixPath("/var/lib/nap" if job.service else "/run/nap")
        return root / (self.prefix or "default") / job.app / str(job.run)

    def labels(self, job: Job) -> tuple[str, ...]:
        """Return the labels that select a run's containers."""
        return (f"nap.home={self.home}", f"nap.app={job.app}", f"nap.run={job.run}")

    def shared(self, job: Job) -> PurePosixPath:
        """Return the folder mounted as a run's /share, on disk because it can be large, removed after it."""
        root = PurePosixPath(self.share or "/var/lib", "nap", self.prefix or "default")
        return root / job.app / str(job.run) / "share"


def by_node(seated: Iterable[Seated], nodes: Iterable[Node]) -> dict[Node, tuple[Seated, ...]]:
    """Return a job's slaves or processes by node. The master is on the first node.

    Raise UnitError when a node is not in the book any more.
    """
    known = {node.name: node for node in nodes}
    placed: dict[Node, list[Seated]] = {}
    for one in seated:
        if one.node not in known:
            raise UnitError(f"the node {one.node} of {one.name} is not there any more", "see: nap nodes")
        placed.setdefault(known[one.node], []).append(one)
    return {node: tuple(ones) for node, ones in placed.items()}


def render_all(job: Job, nodes: Iterable[Node], site: Site) -> tuple[UnitFile, ...]:
    """Return every node's units of an MPI job, named `NODE/UNIT.service`."""
    assert job.mpi is not None
    placed = by_node(job.slaves, nodes)
    units = [unit for node, slaves in placed.items() for unit in _node_units(job, node, slaves, site)]
    return (*units, _master(job, job.mpi, next(iter(placed)), site))


def _node_units(job: Job, node: Node, slaves: tuple[Slave, ...], site: Site) -> tuple[UnitFile, UnitFile]:
    template = slaves_template(job)
    values = {
        **common(job, node, site),
        **each_slave(job),
        "slaves": [(slave, own_words(job, slave, node, site)) for slave in slaves],
        "words": slave_words(job, conditions(node, site), site),
        "announces": template.removesuffix("@.service"),
        "what": "slave %i",
        "which": "%i",
    }
    return (
        render(f"{node.name}/{template}", "systemd/templates/slaves.service.j2", values),
        render(f"{node.name}/{discovery_template(job)}", "systemd/templates/discovery.service.j2", values),
    )


def each_slave(job: Job) -> dict[str, object]:
    """Return the values of the slaves' template, without the runtime's arguments."""
    return {
        "image": job.image,
        "container": names.slave_container(job, 0).removesuffix("0"),
        "hostname": f"{job.app}-slave",
        "fetch_within": FETCH_WITHIN,
    }


def own_words(job: Job, slave: Slave, node: Node, site: Site) -> str:
    """Return the runtime's arguments for this slave alone, joined by spaces: none needs quoting.

    The first slave, in whose container mpirun runs, also gets the files for output and for notes on daemons,
    and its own name as 127.0.0.1.
    """
    place, files = Place(Path(site.folder(job))), ssh_access.folder_of(slave.index, slave.name)
    words = (*limits(slave, conditions(node, site)), *mounts(place, files))
    if files == ssh_access.MASTER:
        words = (*words, *output(place), *daemons(place), "--add-host", f"{slave.name}:127.0.0.1")
    return " ".join(words)


def slave_words(job: Job, at: Conditions, site: Site) -> Words:
    """Return the runtime's arguments for every slave, followed by sshd's command line."""
    place = Place(Path(site.folder(job)))
    return (
        *identity(job), *_network(), *confined(at), *as_app(at, place),
        *_share(job, site), *RANKS, *whatever(job.image), "/usr/sbin/sshd", "-D", "-e",
        "-f", f"{INSIDE}/sshd_config",
    )  # fmt: skip


def _master(job: Job, mpi: Mpi, node: Node, site: Site) -> UnitFile:
    name = names.master_unit(job)
    values = {**common(job, node, site), **master_of(job, mpi), "name": name}
    return render(f"{node.name}/{name}.service", "systemd/templates/master.service.j2", values)


def master_of(job: Job, mpi: Mpi) -> dict[str, object]:
    """Return the values of the master's template. mpirun runs in the first slave's container."""
    known = launching.known_words(mpi, run_env(job))
    return {
        "container": names.slave_container(job, 1),
        "words": (*MASTER, *launching.command(mpi, known, HOSTFILE)),
        "timeout": job.timeout,
    }


def common(job: Job, node: Node, site: Site) -> dict[str, object]:
    """Return the values that all templates have in common."""
    return {
        "app": job.app,
        "run": job.run,
        "folder": str(site.folder(job)),
        "runtime": node.runtime,
        "kind": node.kind,
    }


def conditions(node: Node, site: Site) -> Conditions:
    return Conditions(site.home, _together([node]), site.uid, site.pids, host_network=True)


def identity(job: Job) -> Words:
    return ("--label", f"nap.app={job.app}", "--label", f"nap.run={job.run}")


def _network() -> Words:
    """Return the arguments for the node's own network, on which slaves differ by their ports."""
    return ("--network", "host")


def _share(job: Job, site: Site) -> Words:
    return ("--volume", f"{site.shared(job)}:{SHARE}")


def slaves_template(job: Job) -> str:
    return names.slaves_unit(job, 0).removesuffix("0") + ".service"


def discovery_template(job: Job) -> str:
    return names.discovery_unit(job, 0).removesuffix("0") + ".service"


def environments(job: Job, nodes: Iterable[Node], image_env: Pairs) -> dict[str, str]:
    """Return the environments of ranks and mpirun as file contents, by slave's name and `master`."""
    assert job.mpi is not None
    env = run_env(job, image_env)
    placed = by_node(job.slaves, nodes)
    over = next(iter(placed))
    # Open MPI accepts a network's address, which is the same on all nodes; interface names can differ.
    where = over.interface if job.mpi.is_mpich else over.subnet
    ways = launching.Ways(AGENT, HOSTFILE, where)
    launch = launching.environment(job.mpi, job.slaves, _together(placed), ways)
    aside = ("PMIX_OUTPUT_STDERR_FD", str(REMARKS))
    ranks = {slave.name: ssh_access.environment(env) for slave in job.slaves[1:]}
    return {**ranks, ssh_access.MASTER: ssh_access.environment((*env, *launch, aside))}


def _together(nodes: Iterable[Node]) -> launching.Machine:
    """Return the nodes as launching sees them: one machine with all of their cores."""
    nodes = tuple(nodes)
    cores, rdma = sum(node.cores for node in nodes), all(node.rdma for node in nodes)
    return launching.Machine(cores, rdma, (nodes[0].interface,), nodes[0].interface)
