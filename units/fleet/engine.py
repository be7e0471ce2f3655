"""The fleet engine: runs on nodes, whose units fleet places on machines and starts.

Every machine of fleet is also a node of nap: fleet cannot distribute a run's files, and everybody can read
what is in its unit files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from units import names
from units.errors import UnitError
from units.fleet import unit_files
from units.fleet.bundle import FleetBundle
from units.fleet.client import FleetMachine
from units.fleet.cluster import Cluster
from units.job import Handle, Job, Outcome, UnitFile
from units.node_runs.engine import NodeEngine
from units.node_runs.scheduler import RunFiles, Scheduler
from units.node_runs.tools import Tools
from units.node_runs.watcher import NodeFinding, look
from units.nodes.allocation import Allocation
from units.nodes.link import Link
from units.nodes.node import Node
from units.nodes.pull import FETCH_WITHIN
from units.nodes.scripts import script
from units.oci import container
from units.systemd.engine import SystemdScheduler
from units.systemd.unit_files import Site

# Seconds in which a machine's fleetd has to begin to start units.
_BEGINS_WITHIN = 30
# Exit codes of the script `started`.
_ENDED, _NOT_BEGUN = 3, 4


class FleetEngine(NodeEngine):
    """The engine for runs on nodes whose units fleet places and starts."""

    name = "fleet"
    runs_processes = False

    def __init__(self, site: Site, tools: Tools, cluster: Cluster) -> None:
        super().__init__(tools, FleetScheduler(site, tools, cluster))


class FleetScheduler(Scheduler):
    """Leaves placement to fleet, which does not count slots: nap chooses an open number of slaves."""

    def __init__(self, site: Site, tools: Tools, cluster: Cluster) -> None:
        self._site = site
        self._tools = tools
        self._cluster = cluster
        self._by_slots = SystemdScheduler(site, tools)

    def begin(self) -> None:
        self._cluster.begin()

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        called = self._by_slots.as_nodes_call_it(self._chosen(job))
        return unit_files.units(called, self._site, self._tools.arch)

    def _chosen(self, job: Job) -> Job:
        """Return the job; if it leaves its slaves open, with those that suit the nodes' slots."""
        return self._tools.allocator.planned(job, self._tools.arch) if job.splits else job

    def never_fits(self, job: Job) -> str:
        """Return why there never will be room: fleet puts each slave of an app on a machine of its own."""
        if job.splits:
            return self._by_slots.never_fits(job)
        machines = sum(node.arch == self._tools.arch for node in self._tools.nodes())
        if len(job.slaves) <= machines:
            return ""
        needs = f"fleet puts each of {len(job.slaves)} slaves on a machine of its own"
        return f"{needs}, and there are {machines} nodes with the image's processor"

    def place(
        self, job: Job, handle: Handle, _told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        """Let fleet load the units without starting them: no other request makes it choose machines."""
        job = self._chosen(job)
        units = unit_files.instances(job, self.units(job))
        machines = self._cluster.load(handle.folder, units, given_up)
        if machines is None:
            return None
        named = unit_files.as_named(job)
        slaves = (f"{names.slaves_unit(named, slave.index)}.service" for slave in job.slaves)
        where = [self._node(machines[slave]).name for slave in slaves]
        return self._tools.allocator.seat(str(handle.folder), job, where)

    def _node(self, machine: FleetMachine) -> Node:
        for node in self._tools.nodes():
            if node.address == machine.address:
                return node
        sentence = f"fleet put a slave on {machine.address}, which is no node of nap's"
        raise UnitError(sentence, f"nap nodes add USER@{machine.address}, as for each of fleet's machines")

    def files(self, job: Job) -> RunFiles:
        env, _ = container.image_says(self._tools.runtime, job.image)
        here = self._by_slots.as_nodes_call_it(job)
        return FleetBundle.of(here, self._tools.nodes(), self._site, env, self._tools.timing.away)

    def start(self, allocation: Allocation) -> Outcome | None:
        """Start the slaves, and the units that announce them, on all machines at the same time."""
        own = {share.node: share.units for share in allocation.shares}
        slaves = own[allocation.master]
        own[allocation.master] = tuple(name for name in slaves if name != allocation.master_unit)
        self._cluster.launch([name for names in own.values() for name in names])

        def started(node: Node, link: Link) -> list[NodeFinding]:
            return _until_started(node, link, allocation.folder, own[node.name])

        found = self._tools.links.every(self._tools.nodes_of(allocation), started)
        lost = next((findings for findings in found.values() if findings), None)
        return lost[0].outcome(allocation) if lost else None

    def start_master(self, allocation: Allocation) -> None:
        self._cluster.launch([allocation.master_unit])

    def clean_up(self, folder: Path) -> None:
        self._cluster.destroy(folder)


def _until_started(node: Node, link: Link, folder: str, units: Sequence[str]) -> list[NodeFinding]:
    """Wait until the units have started on a node. Return findings about slaves that ended instead.

    This asks the machine itself, which knows sooner than fleet. Raise UnitError when units do not start.
    """
    done = link.run(script("started", folder, str(_BEGINS_WITHIN), *units), within=FETCH_WITHIN)
    if done.code == _ENDED:
        return look(link, node.name, [folder])
    if done.code == _NOT_BEGUN:
        sentence = f"fleet has not started {done.last} on {node.name} within {_BEGINS_WITHIN} s"
        raise UnitError(sentence, "is fleetd up there? see: fleetctl list-units")
    if done.code:
        raise UnitError(f"the node {node.name} could not start its slaves: {done.last}")
    return []
