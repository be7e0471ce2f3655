"""The fleet engine: the systemd engine's runs, where fleet says which machine has which unit and starts it.

Every machine of fleet is a node of nap's as well: fleet cannot bring a run's files, and what it is told
everybody may read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from units import names
from units.errors import UnitError
from units.fleet import unit_files
from units.fleet.bundle import FleetBundle
from units.fleet.client import Machine
from units.fleet.cluster import Cluster
from units.job import Handle, Job, UnitFile
from units.node_runs.watcher import Finding, look
from units.nodes.allocation import Allocation
from units.nodes.link import Link
from units.nodes.node import Node
from units.nodes.scripts import script
from units.systemd.engine import SystemdEngine
from units.systemd.parts import Parts
from units.systemd.unit_files import FETCH_WITHIN

# Seconds in which a machine's fleetd has to hear that it is to start units.
_BEGINS_WITHIN = 30
# What `started` answers with.
_ENDED, _NOT_BEGUN = 3, 4


class FleetEngine(SystemdEngine):
    """Runs of nodes, whose units a fleet places and starts."""

    name = "fleet"
    runs_processes = False
    _of_ranks = FleetBundle

    def __init__(self, parts: Parts, cluster: Cluster) -> None:
        super().__init__(parts)
        self._cluster = cluster

    def begin(self) -> None:
        super().begin()
        self._cluster.begin()

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        return unit_files.units(self._called(self._chosen(job)), self._site, self._arch)

    def _chosen(self, job: Job) -> Job:
        """With the slaves that nodes' slots call for, where the job leaves that open."""
        return self._places.planned(job, self._arch) if job.splits else job

    def never_fits(self, job: Job) -> str:
        """Fleet does not count slots, but keeps an app's slaves apart."""
        if job.splits:
            return super().never_fits(job)
        machines = sum(node.arch == self._arch for node in self._nodes())
        if len(job.slaves) <= machines:
            return ""
        needs = f"fleet puts each of {len(job.slaves)} slaves on a machine of its own"
        return f"{needs}, and there are {machines} nodes with the image's processor"

    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """Fleet has units on their machines afterwards, and not started: it tells in no other way where."""
        if Allocation.read(handle.folder):
            return super().place(job, handle, told, given_up)
        job = self._chosen(job)
        units = unit_files.instances(job, self.units(job))
        machines = self._cluster.load(handle.folder, units, given_up)
        if machines is None:
            return None
        named = unit_files.as_named(job)
        slaves = (f"{names.slaves_unit(named, slave.index)}.service" for slave in job.slaves)
        where = [self._node(machines[slave]).name for slave in slaves]
        return self._places.seat(str(handle.folder), job, where)

    def _node(self, machine: Machine) -> Node:
        for node in self._nodes():
            if node.address == machine.address:
                return node
        sentence = f"fleet put a slave on {machine.address}, which is no node of nap's"
        raise UnitError(sentence, f"nap nodes add USER@{machine.address}, as for each of fleet's machines")

    def _start(self, handle: Handle, allocation: Allocation) -> None:
        """Slaves, and what announces them, on all machines at the same time."""
        own = {share.node: share.units for share in allocation.shares}
        slaves = own[allocation.master]
        own[allocation.master] = tuple(name for name in slaves if name != allocation.master_unit)
        self._cluster.launch([name for names in own.values() for name in names])

        def started(node: Node, link: Link) -> list[Finding]:
            return _until_started(node, link, allocation.folder, own[node.name])

        found = self._links.every(self._nodes_of(allocation), started)
        if lost := next((findings for findings in found.values() if findings), None):
            self._lost(handle.folder, lost[0].outcome(allocation))

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        super().start_master(handle, files)
        self._cluster.launch([self._known(handle).master_unit])

    def clean_up(self, handle: Handle) -> None:
        """On the nodes first: a fleet that does not answer keeps nobody from that."""
        try:
            super().clean_up(handle)
        finally:
            self._cluster.destroy(handle.folder)


def _until_started(node: Node, link: Link, folder: str, units: Sequence[str]) -> list[Finding]:
    """The slaves that ended instead. The machine itself says so sooner than fleet."""
    done = link.run(script("started", folder, str(_BEGINS_WITHIN), *units), within=FETCH_WITHIN)
    if done.code == _ENDED:
        return look(link, node.name, [folder])
    if done.code == _NOT_BEGUN:
        sentence = f"fleet has not started {done.last} on {node.name} within {_BEGINS_WITHIN} s"
        raise UnitError(sentence, "is fleetd up there? see: fleetctl list-units")
    if done.code:
        raise UnitError(f"the node {node.name} could not start its slaves: {done.last}")
    return []
