"""The bundle of a service or a profile: its units, scripts and announcer settings for each of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from units import names
from units.job import Job, Pairs, Process, UnitFile
from units.node_runs.tools import NodeTiming
from units.nodes import announce, scripts
from units.nodes.allocation import Allocation, NodeShare, Seat
from units.nodes.announce import Etcd
from units.nodes.archive import Sent, pack
from units.nodes.node import Node
from units.nodes.pull import Registry
from units.oci import ssh_access
from units.systemd import process_units, unit_files
from units.systemd.bundle import CLOSED, OPEN, UNITS, announced, texts_at
from units.systemd.unit_files import Site

# For services, which come back after a reboot.
_LASTING_UNITS = PurePosixPath("/etc/systemd/system")


@dataclass(frozen=True)
class ProcessBundle:
    """The files of one run of processes; see `bundle.Bundle`."""

    job: Job
    site: Site
    placed: Mapping[Node, tuple[Process, ...]]
    units: tuple[UnitFile, ...]
    image_env: Pairs

    @classmethod
    def of(
        cls, job: Job, nodes: Iterable[Node], site: Site, image_env: Pairs, image_user: str
    ) -> ProcessBundle:
        placed = unit_files.by_node(job.processes, nodes)
        units = process_units.render_all(job, placed, site, image_user)
        return cls(job, site, placed, units, image_env)

    def record(self) -> Allocation:
        """Return the run's allocation."""
        job, site = self.job, self.site
        shares = tuple(self._share(node) for node in self.placed)
        web = next((process.node for process in job.processes if process.port), "")
        return Allocation(
            job.app, job.run, str(site.folder(job)), shares[0].node, "", site.labels(job), shares,
            timeout=job.timeout, service=job.service, web=web,
        )  # fmt: skip

    def _share(self, node: Node) -> NodeShare:
        seats = tuple(map(self._seat, self.placed[node]))
        return NodeShare(node.name, node.runtime, tuple(texts_at(node, self.units)), seats)

    def _seat(self, process: Process) -> Seat:
        index = self.job.processes.index(process) + 1
        return Seat(index, process.inner, 1, 0, process.name, process_units.unit(self.job, process))

    def started(self, node: Node) -> tuple[str, ...]:
        """Return the units to start on the node: the processes, whose Wants starts their announcers."""
        return tuple(f"{process_units.unit(self.job, process)}.service" for process in self.placed[node])

    def archive(self, node: Node, etcd: Etcd, registry: Registry, timing: NodeTiming) -> bytes:
        """Return the node's files as a tar archive."""
        folder = self.site.folder(self.job)
        processes = self.placed[node]
        closed = [
            folder, folder / "registry", folder / "announced", folder / "processes",
            *(folder / "announced" / process.name for process in processes),
            *(folder / "processes" / process.name for process in processes),
        ]  # fmt: skip
        open_ = [folder / "files", *(folder / "files" / process.name for process in processes)]
        folders = [*((path, CLOSED, 0) for path in closed), *((path, OPEN, 0) for path in open_)]
        files = [*self._common(node, folder), *registry.files(node, folder)]
        for process in processes:
            files += self._of(process, folder)
            files += self._announced(process, node, folder, etcd, timing)
        return pack(files, folders)

    def _common(self, node: Node, folder: PurePosixPath) -> Iterator[Sent]:
        units = _LASTING_UNITS if self.job.service else UNITS
        for name, text in texts_at(node, self.units).items():
            yield Sent(units / name, text)
        for name, text in scripts.texts("fetch", "lead").items():
            yield Sent(folder / name, text)
        yield Sent(folder / "announce", announce.script().content)
        yield Sent(folder / "files" / "passwd", ssh_access.passwd(self.site.uid))
        yield Sent(folder / "files" / "group", ssh_access.group(self.site.uid))

    def _of(self, process: Process, folder: PurePosixPath) -> Iterator[Sent]:
        own = process_units.place(self.job, process, self.site)
        for name, text in process_units.process_scripts(self.job).items():
            yield Sent(own / name, text)
        yield Sent(own / "output", "", 0o600, self.site.uid)
        # The script `end` overwrites it in place: the node can have no space left by then.
        yield Sent(own / "ended.new", "\n", 0o600)
        if process.port:
            yield Sent(folder / "way", process_units.way(self.job, process))
        environment = process_units.environment(self.job, process, self.image_env)
        yield Sent(folder / "files" / process.name / "environment", environment, 0o600, self.site.uid)

    def _announced(
        self, process: Process, node: Node, folder: PurePosixPath, etcd: Etcd, timing: NodeTiming
    ) -> Iterator[Sent]:
        container = names.process_container(self.job, process.name)
        check = announce.while_running(node.runtime, container)
        if process.port:
            check = announce.while_taking(process.address, process.inner)
        yield from announced(process, check, folder / "announced" / process.name, etcd, timing)
