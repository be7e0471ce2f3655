"""The common base of engines on nodes: runs on several machines, which continue without the receiver."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from units import ending
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle, Job, Outcome, UnitFile, UnitState
from units.node_runs.node_run import NodeRun
from units.node_runs.run_lock import locked
from units.node_runs.scheduler import RunFiles, Scheduler
from units.node_runs.services import Services
from units.node_runs.tools import Tools
from units.node_runs.watcher import Watcher
from units.nodes import shared_folder
from units.nodes.allocation import Allocation
from units.nodes.allocator import Reservation, seated
from units.nodes.announce import Etcd
from units.nodes.archive import Sent, pack
from units.nodes.link import Link
from units.nodes.node import Node
from units.nodes.pull import FETCH_WITHIN, Registry
from units.nodes.scripts import script
from units.oci.options import HOSTFILE
from units.placement.capacity import Use
from units.supervisor import files


class NodeEngine(Engine):
    """An engine on nodes. `scheduler` is the part in which the engines differ."""

    hostfile = HOSTFILE
    runs_images = True
    on_nodes = True

    def __init__(self, tools: Tools, scheduler: Scheduler) -> None:
        self._tools = tools
        self._scheduler = scheduler
        self._services = Services(tools.link)
        self._ending = threading.Lock()
        self._watcher = Watcher(tools.links, tools.nodes, tools.timing.away, self._lost, self._away)

    def begin(self) -> None:
        self._tools.cleanup.begin()
        self._scheduler.begin()

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        return self._scheduler.units(job)

    def never_fits(self, job: Job) -> str:
        return self._scheduler.never_fits(job)

    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        if allocation := Allocation.read(handle.folder):
            ports = [port for _, port in allocation.ports()]
            return seated(job, allocation.uses(), ports, self._tools.nodes())
        return self._scheduler.place(job, handle, told, given_up)

    def uses(self) -> Sequence[Use]:
        return self._tools.allocator.uses()

    def submit(self, job: Job, folder: Path) -> Handle:
        run = self._run(Handle(folder))
        etcd, registry = self._tools.etcd(), self._tools.registry()
        sent = self._scheduler.files(job)
        run.handle.output.touch()
        run.handle.log.touch()
        allocation = sent.record()
        # Before anything is on a node: room for the outcome and the cleanup records, then the allocation.
        ending.keep_room(folder)
        self._tools.cleanup.reserve(allocation)
        allocation.write(folder)
        self._look_after(run, allocation, there=False)
        try:
            self._install(sent, allocation, etcd, registry)
            if lost := self._scheduler.start(allocation):
                run.lose(lost)
        except UnitError as error:
            self.stop(run.handle, Outcome(1, error.message))
            raise
        run.note_sent()
        self._look_after(run, allocation, there=True)
        return run.handle

    def _install(self, sent: RunFiles, allocation: Allocation, etcd: Etcd, registry: Registry) -> None:
        """Send each node its files and start the units among them. Raise UnitError when a node fails."""
        tools = self._tools

        def install(node: Node, link: Link) -> None:
            argv = script("install", allocation.folder, allocation.common, *sent.started(node))
            archive = sent.archive(node, etcd, registry, tools.timing)
            try:
                tools.cleanup.clear(node, link)
                done = link.run(argv, archive, FETCH_WITHIN)
            except UnitError as error:
                raise UnitError(f"{_not_started(node, allocation)}: {error.message}", error.hint) from error
            if done.code:
                raise UnitError(f"{_not_started(node, allocation)}: {done.last}")

        # Leftovers of an interrupted submit of this same run would still announce its slaves elsewhere.
        tools.links.each(tools.cleanup.pending_on(allocation), tools.cleanup.clear)
        self._share(allocation)
        tools.links.every(sent.placed, install)

    def _share(self, allocation: Allocation) -> None:
        """Create the run's folder in the nodes' shared directory, if there is one."""
        if allocation.sharer is None:
            return
        tools, master = self._tools, allocation.master
        tools.links.every(tools.nodes_of(allocation), tools.cleanup.clear)
        tools.cleanup.keep_shared(allocation)
        shared_folder.make(tools.link(master), master, allocation.shared, allocation.sharer)

    def adopt(self, handle: Handle) -> None:
        run = self._run(handle)
        allocation = run.allocation
        if allocation is None:
            return
        if not run.is_sent and not run.has_ended:
            # The receiver was killed while it sent units: without the record they are sent again.
            self._tools.cleanup.record(allocation)
            self._tools.cleanup.run_soon()
            Allocation.forget(handle.folder)
            return
        self._tools.allocator.hold(str(handle.folder), Reservation.of(allocation, time.monotonic()))
        self._look_after(run, allocation, there=True)

    def _look_after(self, run: NodeRun, allocation: Allocation, there: bool) -> None:
        """Watch the run's nodes, and follow its processes once they are `there`.

        A service's nodes are not watched: it has no end, and its nodes can be away for a while.
        """
        if not allocation.service:
            self._watcher.begin(run.folder, allocation, there)
        if there and not allocation.has_ranks:
            self._services.follow(run.handle, allocation, run.end)

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        allocation = self._run(handle).submitted
        folder = PurePosixPath(allocation.folder, "files", "master")
        archive = pack(Sent(folder / name, text) for name, text in files.items())
        argv = ("tar", "--extract", "--directory", "/", "--file", "-")
        self._tools.link(allocation.master).ask(argv, archive)
        self._scheduler.start_master(allocation)

    def running(self, handle: Handle) -> bool:
        """Return whether the run was submitted and has not ended. Its units do not depend on this process."""
        run = self._run(handle)
        return run.allocation is not None and not run.has_ended

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        return self._run(handle).wait(seconds)

    def answers(self, handle: Handle, port: int) -> bool:
        return self._run(handle).answers(port)

    def outcome(self, handle: Handle) -> Outcome:
        return ending.kept(handle.folder) or Outcome(137, "its units were lost", "lost")

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """Stop all units of the run, also when the disk here has no room to record the outcome."""
        run = self._run(handle)
        try:
            run.end(outcome)
        finally:
            if allocation := run.allocation:
                self._watcher.end(allocation)
                with locked(handle.folder):
                    run.bring_home(allocation)

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        return self._run(handle).states()

    def results(self, handle: Handle) -> tuple[Path, ...]:
        return self._run(handle).results(self.outcome(handle))

    def clean_up(self, handle: Handle) -> None:
        """Remove the run from its nodes and its folder. A removal that fails on a node is retried later."""
        run = self._run(handle)
        try:
            try:
                if allocation := run.allocation:
                    with locked(handle.folder):
                        run.remove(allocation)
            finally:
                self._tools.allocator.give_back(str(handle.folder))
            files.clear(handle.folder)
        finally:
            self._scheduler.clean_up(handle.folder)

    def miss_nodes(self) -> None:
        """End followed runs of processes that have a removed node. The watcher already covers other runs."""
        there = {node.name for node in self._tools.nodes()}
        for run, node in self._services.missing(there):
            self._lost(run, Outcome(137, f"the node {node} was removed", "lost"))

    def forget(self, image: str) -> None:
        """Remove the image from all nodes; from a node that is away once it is back."""
        called, nodes = self._tools.registry().called(image), self._tools.nodes()
        for node in nodes:
            self._tools.cleanup.record_image(node, called)
        self._tools.cleanup.run_now([node.name for node in nodes])

    def _run(self, handle: Handle) -> NodeRun:
        return NodeRun(handle, self._tools, self._services, self._ending)

    def _lost(self, run: Path, outcome: Outcome) -> None:
        self._run(Handle(run)).lose(outcome)

    def _away(self, node: Node) -> None:
        """Mark the node as away, and close its connections so that pending requests fail at once."""
        self._tools.cleanup.mark_away(node)
        self._tools.links.to(node).close()


def _not_started(node: Node, allocation: Allocation) -> str:
    return f"the node {node.name} could not start its {'slaves' if allocation.has_ranks else 'processes'}"
