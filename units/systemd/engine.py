"""The systemd engine, the daemon's side: units of several machines, which live without the receiver.

A run's record is in its folder here: `run.json` once its units are sent, `exit` once it has ended. Nothing
of this process has to last: whoever comes next goes on from there, and from what `output` has.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from units import ending
from units.engine import Engine
from units.errors import UnitError
from units.job import Handle, Job, Outcome, UnitFile, UnitState
from units.node_runs import results, states, tail
from units.node_runs.diagnosis import Diagnosis
from units.node_runs.processes import lead
from units.node_runs.run_lock import locked
from units.node_runs.services import Services
from units.node_runs.tail import Followed, Whole
from units.node_runs.watcher import Watcher
from units.nodes import shared_folder
from units.nodes.allocation import Allocation
from units.nodes.allocator import Reservation, seated
from units.nodes.archive import Sent, pack
from units.nodes.link import Link
from units.nodes.node import Node
from units.nodes.scripts import script
from units.oci import container
from units.oci.options import HOSTFILE
from units.placement.capacity import Use
from units.supervisor import files
from units.systemd import process_units, unit_files
from units.systemd.bundle import Bundle
from units.systemd.parts import Parts
from units.systemd.process_bundle import ProcessBundle

_SENT, _HALTED = "sent", "halted"
# Seconds: one late answer is not to hide how the program ended.
_ANSWERS_AGAIN_WITHIN = 10.0
_HALTS_WITHIN = 20.0


class SystemdEngine(Engine):
    """Runs of nodes, as units of their systemd."""

    name = "systemd"
    hostfile = HOSTFILE
    runs_images = True
    on_nodes = True
    _of_ranks: type[Bundle] = Bundle

    def __init__(self, parts: Parts) -> None:
        self._site = parts.site
        self._links = parts.links
        self._nodes = parts.nodes
        self._etcd = parts.etcd
        self._registry = parts.registry
        self._runtime = parts.runtime
        self._timing = parts.timing
        self._places = parts.places
        self._cleanup = parts.cleanup
        self._arch = parts.arch
        self._ending = threading.Lock()
        self._services = Services(self._link)
        self._watch = Watcher(parts.links, parts.nodes, parts.timing.away, self._lost, self._away)

    def begin(self) -> None:
        self._cleanup.begin()

    def never_fits(self, job: Job) -> str:
        return self._places.never_fits(job, self._arch)

    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        if allocation := Allocation.read(handle.folder):
            return seated(job, allocation.uses(), [port for _, port in allocation.ports()], self._nodes())
        if never := self.never_fits(job):
            raise UnitError(never, "see: nap nodes")
        return self._places.take(str(handle.folder), job, self._arch, told, given_up)

    def adopt(self, handle: Handle) -> None:
        allocation = Allocation.read(handle.folder)
        if allocation is None:
            return
        if not (handle.folder / _SENT).exists() and not self.has_ended(handle):
            # It was killed while it sent units: they are sent anew.
            self._cleanup.record(allocation)
            self._cleanup.run_soon()
            Allocation.forget(handle.folder)
            return
        self._places.hold(str(handle.folder), Reservation.of(allocation, time.monotonic()))
        self._look_after(handle, allocation, there=True)

    def uses(self) -> list[Use]:
        return self._places.uses()

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        planned = self._called(self._places.planned(job, self._arch))
        render = unit_files.render_all if job.mpi else process_units.render_all
        return render(planned, self._nodes(), self._site)

    def _called(self, job: Job) -> Job:
        """With its image as nodes call it."""
        return replace(job, image=self._registry().called(job.image))

    def submit(self, job: Job, folder: Path) -> Handle:
        handle = Handle(folder)
        etcd, registry = self._etcd(), self._registry()
        bundle = self._bundle(job)
        handle.output.touch()
        handle.log.touch()
        allocation = bundle.record()
        ending.keep_room(folder)
        self._cleanup.reserve(allocation)
        allocation.write(folder)
        self._look_after(handle, allocation, there=False)

        def install(node: Node, link: Link) -> None:
            argv = script("install", allocation.folder, allocation.common, *bundle.started(node))
            archive = bundle.archive(node, etcd, registry, self._timing)
            try:
                self._cleanup.clear(node, link)
                done = link.run(argv, archive, unit_files.FETCH_WITHIN)
            except UnitError as error:
                raise UnitError(f"{_not_started(node, allocation)}: {error.message}", error.hint) from error
            if done.code:
                raise UnitError(f"{_not_started(node, allocation)}: {done.last}")

        try:
            # What announces slaves elsewhere announces this very run.
            self._links.each(self._cleanup.pending_on(allocation), self._cleanup.clear)
            self._share(allocation)
            self._links.every(bundle.placed, install)
            self._start(handle, allocation)
        except UnitError as error:
            self.stop(handle, Outcome(1, error.message))
            raise
        (folder / _SENT).touch()
        self._look_after(handle, allocation, there=True)
        return handle

    def _bundle(self, job: Job) -> Bundle | ProcessBundle:
        env, user = container.image_says(self._runtime, job.image)
        here = self._called(job)
        if job.mpi is None:
            return ProcessBundle.of(here, self._nodes(), self._site, env, user)
        return self._of_ranks.of(here, self._nodes(), self._site, env, self._timing.away)

    def _look_after(self, handle: Handle, allocation: Allocation, there: bool) -> None:
        """See to it that its end is noticed; a service has none, and may be on a node that is away."""
        if not allocation.service:
            self._watch.begin(handle.folder, allocation, there)
        if there and not allocation.has_ranks:
            self._services.follow(handle, allocation, lambda outcome: self._end(handle, outcome))

    def _start(self, handle: Handle, allocation: Allocation) -> None:
        """What is to be done once all nodes have their files: here, nothing."""

    def _share(self, allocation: Allocation) -> None:
        """Make its folder in the directory that is the same on all nodes, where there is one."""
        if allocation.sharer is not None:
            self._links.every(self._nodes_of(allocation), self._cleanup.clear)
            self._cleanup.keep_shared(allocation)
            master, owner = allocation.master, allocation.sharer
            shared_folder.make(self._link(master), master, allocation.shared, owner)

    def start_master(self, handle: Handle, files: Mapping[str, str]) -> None:
        allocation = self._known(handle)
        folder = PurePosixPath(allocation.folder, "files", "master")
        archive = pack(Sent(folder / name, text) for name, text in files.items())
        argv = ("tar", "--extract", "--directory", "/", "--file", "-")
        self._link(allocation.master).ask(argv, archive)

    def running(self, handle: Handle) -> bool:
        """Units live by themselves: what was submitted and has not ended is there."""
        return Allocation.read(handle.folder) is not None and not self.has_ended(handle)

    def wait(self, handle: Handle, seconds: float | None) -> bool:
        """Follows a master for as long as it takes: only services are waited for less."""
        allocation = self._known(handle)
        if self.has_ended(handle):
            return True
        if not allocation.has_ranks:
            return self._services.wait(handle, seconds)
        link = self._link(allocation.master)
        master = Followed(link, allocation.folder, allocation.master_unit, Whole(handle.output))
        ended = tail.follow(master, lambda: self.has_ended(handle))
        if ended:
            _note_halted(handle)
            self._end(handle, self._why(handle, allocation, ended))
        return True

    def _why(self, handle: Handle, allocation: Allocation, ended: tail.Ended) -> Outcome:
        # Where mpirun calls it a success, a silent node has as much time to answer as at any other moment.
        away = self._timing.away
        patience = min(_ANSWERS_AGAIN_WITHIN, away) if ended.code else away
        nodes = self._nodes_of(allocation)
        inquiry = Diagnosis(self._links, nodes, allocation, patience, lambda: self.has_ended(handle))
        return inquiry.outcome(ended, str(handle.output))

    def _lost(self, run: Path, outcome: Outcome) -> None:
        handle = Handle(run)
        if not self.has_ended(handle):
            try:
                with handle.log.open("a") as log:
                    log.write(f"{outcome.reason}\n")
            finally:
                self._end(handle, outcome)

    def _away(self, node: Node) -> None:
        """Whoever waits for its answer is told that it is lost."""
        self._cleanup.mark_away(node)
        self._links.to(node).close()

    def miss_nodes(self) -> None:
        """Services end whose node was taken out of the book; runs with an end are looked after anyway."""
        there = {node.name for node in self._nodes()}
        for run, node in self._services.missing(there):
            self._lost(run, Outcome(137, f"the node {node} was removed", "lost"))

    def answers(self, handle: Handle, port: int) -> bool:
        """On the node that its web process is on, where the app's port leads to it from then on."""
        allocation = self._known(handle)
        node = next((node for node in self._nodes_of(allocation) if node.name == allocation.web), None)
        if node is None or self.has_ended(handle):
            return False
        return lead(self._links.to(node), node.name, allocation.folder, port)

    def outcome(self, handle: Handle) -> Outcome:
        return ending.kept(handle.folder) or Outcome(137, "its units were lost", "lost")

    def stop(self, handle: Handle, outcome: Outcome) -> None:
        """All of it, also where there is no room here to write what becomes of it."""
        try:
            self._end(handle, outcome)
        finally:
            if allocation := Allocation.read(handle.folder):
                self._watch.end(allocation)
                with locked(handle.folder):
                    self._bring_home(handle, allocation)

    def _bring_home(self, handle: Handle, allocation: Allocation) -> None:
        """What it wrote, of what has to end for that; all else is owed from then on."""
        try:
            if (handle.folder / _SENT).exists():
                self._halt(handle, allocation)
                results.Results(handle, allocation, self._present(allocation), self._links).bring()
        finally:
            self._services.forget(handle)
            self._cleanup.record(allocation)

    def _halt(self, handle: Handle, allocation: Allocation) -> None:
        """End its processes, and have all they wrote; once. Slaves are there for others."""
        if (handle.folder / _HALTED).exists():
            return
        if allocation.has_ranks:
            self._end_master(allocation)
        else:
            self._services.halt(handle, allocation, self._present(allocation), self._links)
        _note_halted(handle)

    def _end_master(self, allocation: Allocation) -> None:
        masters = [node for node in self._present(allocation) if node.name == allocation.master]
        stop = ("systemctl", "stop", allocation.master_unit)
        self._links.each(masters, lambda _, link: link.run(stop, within=_HALTS_WITHIN))

    def clean_up(self, handle: Handle) -> None:
        """What a node does not let go of now it is asked for until it does."""
        try:
            if allocation := Allocation.read(handle.folder):
                with locked(handle.folder):
                    self._remove(allocation)
        finally:
            self._places.give_back(str(handle.folder))
        files.clear(handle.folder)

    def _remove(self, allocation: Allocation) -> None:
        """From its nodes. UnitError that names those of which it is news that they do not let go of it."""
        self._cleanup.record(allocation)
        left = self._cleanup.run_now([share.node for share in allocation.shares])
        if left:
            raise UnitError("; ".join(f"on {name}: {why.message}" for name, why in left.items()))

    def _present(self, allocation: Allocation) -> list[Node]:
        return [node for node in self._nodes_of(allocation) if node.name not in self._cleanup.away()]

    def _nodes_of(self, allocation: Allocation) -> list[Node]:
        names = {share.node for share in allocation.shares}
        return [node for node in self._nodes() if node.name in names]

    def _end(self, handle: Handle, outcome: Outcome) -> None:
        """Keep how the run ended; the first word counts."""
        with self._ending:
            if self.has_ended(handle) or Allocation.read(handle.folder) is None:
                return
            ending.keep(handle, outcome)
        self._services.let_go(handle)

    def states(self, handle: Handle) -> tuple[UnitState, ...]:
        allocation = Allocation.read(handle.folder)
        return states.states(allocation, self._nodes_of(allocation), self._links) if allocation else ()

    def forget(self, image: str) -> None:
        """From all nodes: from those that are away once they are back."""
        called, nodes = self._registry().called(image), self._nodes()
        for node in nodes:
            self._cleanup.record_image(node, called)
        self._cleanup.run_now([node.name for node in nodes])

    def results(self, handle: Handle) -> tuple[Path, ...]:
        return results.keep(handle, Allocation.read(handle.folder), self.outcome(handle))

    def _known(self, handle: Handle) -> Allocation:
        allocation = Allocation.read(handle.folder)
        if allocation is None:
            raise UnitError("nothing of the run was submitted")
        return allocation

    def _link(self, name: str) -> Link:
        found = next((node for node in self._nodes() if node.name == name), None)
        if found is None:
            raise UnitError(f"the node {name} is gone", "see: nap nodes")
        return self._links.to(found)


def _note_halted(handle: Handle) -> None:
    """Its processes have ended. Where that cannot be written they are ended once more."""
    with contextlib.suppress(OSError):
        (handle.folder / _HALTED).touch()


def _not_started(node: Node, allocation: Allocation) -> str:
    return f"the node {node.name} could not start its {'slaves' if allocation.has_ranks else 'processes'}"
