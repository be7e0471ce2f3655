"""The systemd engine: nap chooses the nodes, and their systemd starts the units once they are installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from units.errors import UnitError
from units.job import Handle, Job, UnitFile
from units.node_runs.engine import NodeEngine
from units.node_runs.scheduler import RunFiles, Scheduler
from units.node_runs.tools import Tools
from units.oci import container
from units.systemd import process_units, unit_files
from units.systemd.bundle import Bundle
from units.systemd.process_bundle import ProcessBundle
from units.systemd.unit_files import Site


class SystemdEngine(NodeEngine):
    """The engine that runs jobs as units of the nodes' systemd."""

    name = "systemd"

    def __init__(self, site: Site, tools: Tools) -> None:
        super().__init__(tools, SystemdScheduler(site, tools))


class SystemdScheduler(Scheduler):
    """The scheduler that places jobs by the free slots and memory of nodes."""

    def __init__(self, site: Site, tools: Tools) -> None:
        self._site = site
        self._tools = tools

    def units(self, job: Job) -> tuple[UnitFile, ...]:
        planned = self.as_nodes_call_it(self._tools.allocator.planned(job, self._tools.arch))
        render = unit_files.render_all if job.mpi else process_units.render_all
        return render(planned, self._tools.nodes(), self._site)

    def as_nodes_call_it(self, job: Job) -> Job:
        """Return the job with the image name that nodes pull it by."""
        return replace(job, image=self._tools.registry().called(job.image))

    def never_fits(self, job: Job) -> str:
        return self._tools.allocator.never_fits(job, self._tools.arch)

    def place(
        self, job: Job, handle: Handle, told: Callable[[str], None], given_up: Callable[[], bool]
    ) -> Job | None:
        if never := self.never_fits(job):
            raise UnitError(never, "see: nap nodes")
        return self._tools.allocator.take(str(handle.folder), job, self._tools.arch, told, given_up)

    def files(self, job: Job) -> RunFiles:
        env, user = container.image_says(self._tools.runtime, job.image)
        here, nodes = self.as_nodes_call_it(job), self._tools.nodes()
        if job.mpi is None:
            return ProcessBundle.of(here, nodes, self._site, env, user)
        return Bundle.of(here, nodes, self._site, env, self._tools.timing.away)
