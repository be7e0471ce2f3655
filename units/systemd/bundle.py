"""The bundle of an MPI run: its units, scripts, keys and announcer settings for each of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from units import names
from units.job import Job, Pairs, Process, Slave, UnitFile
from units.node_runs.tools import NodeTiming
from units.nodes import announce, scripts
from units.nodes.allocation import Allocation, NodeShare, Seat
from units.nodes.announce import Announcement, Etcd
from units.nodes.archive import Sent, pack
from units.nodes.node import Node
from units.nodes.pull import Registry
from units.oci import ssh_access
from units.systemd import unit_files
from units.systemd.unit_files import Site

# For runs that do not come back after a reboot: /run is cleared then.
UNITS = PurePosixPath("/run/systemd/system")
CLOSED, OPEN = 0o700, 0o755


@dataclass(frozen=True)
class Bundle:
    """The files of one run. Create it once per run: each call of `of` makes new ssh keys."""

    job: Job
    site: Site
    placed: Mapping[Node, tuple[Slave, ...]]
    units: tuple[UnitFile, ...]
    files: Mapping[str, str]

    @classmethod
    def of(
        cls, job: Job, nodes: Iterable[Node], site: Site, image_env: Pairs, away: int = NodeTiming.away
    ) -> Bundle:
        assert job.mpi is not None
        placed = unit_files.by_node(job.slaves, nodes)
        addresses = {slave.name: node.address for node, slaves in placed.items() for slave in slaves}
        ports = [(slave.name, addresses[slave.name], slave.port) for slave in job.slaves]
        files = ssh_access.files(ports, forgiving=job.mpi.is_mpich)
        for name, text in unit_files.environments(job, placed, image_env).items():
            files[f"{name}/environment"] = text
        for node, slaves in placed.items():
            for slave in slaves:
                files[f"{slave.name}/limits"] = f"LIMITS={unit_files.own_words(job, slave, node, site)}\n"
        ways = {slave.name: (addresses[slave.name], slave.port) for slave in job.slaves}
        files["master/ssh_config"] = ssh_access.ssh_config(ways, away)
        files |= {"passwd": ssh_access.passwd(site.uid), "group": ssh_access.group(site.uid)}
        return cls(job, site, placed, cls._rendered(job, placed, site), files)

    @staticmethod
    def _rendered(job: Job, nodes: Iterable[Node], site: Site) -> tuple[UnitFile, ...]:
        return unit_files.render_all(job, nodes, site)

    def record(self) -> Allocation:
        """Return the run's allocation."""
        job, site = self.job, self.site
        assert job.mpi is not None
        shares = tuple(
            NodeShare(node.name, node.runtime, self.unit_names(node), tuple(map(self._seat, slaves)))
            for node, slaves in self.placed.items()
        )
        return Allocation(
            job.app, job.run, str(site.folder(job)), self.master.name, job.mpi.flavour, site.labels(job),
            shares, job.timeout, names.slave_container(job, 0).removesuffix("0"), job.workdir,
            str(site.shared(job)), site.uid if site.share else None, job.results,
            script=bool(job.mpi.script),
        )  # fmt: skip

    def _seat(self, slave: Slave) -> Seat:
        slots, unit = slave.cpus or slave.slots, self._unit_of(slave)
        return Seat(slave.index, slave.port, slots, slave.memory or 0, unit=unit)

    def _unit_of(self, slave: Slave) -> str:
        return names.slaves_unit(self.job, slave.index)

    def started(self, node: Node) -> tuple[str, ...]:
        """Return the units to start on the node: the announcers, whose BindsTo starts their slaves."""
        return tuple(names.discovery_unit(self.job, slave.index) for slave in self.placed[node])

    @property
    def master(self) -> Node:
        return next(iter(self.placed))

    def unit_names(self, node: Node) -> tuple[str, ...]:
        """Return the names of the run's unit files on the node."""
        return tuple(texts_at(node, self.units))

    def archive(self, node: Node, etcd: Etcd, registry: Registry, timing: NodeTiming) -> bytes:
        """Return the node's files as a tar archive."""
        folder = self.site.folder(self.job)
        announced = [folder / "announced" / str(slave.index) for slave in self.placed[node]]
        open_ = [folder / "files", *(folder / "files" / name for name in self._here(node))]
        folders = [
            (folder, CLOSED, 0),
            *((path, CLOSED, 0) for path in (folder / "registry", folder / "announced", *announced)),
            *((path, OPEN, 0) for path in open_),
            *([] if self.site.share else [(self.site.shared(self.job), CLOSED, self.site.uid)]),
        ]
        files = [
            *self._common(node, folder),
            *self._announced(node, folder, etcd, timing),
            *registry.files(node, folder),
        ]
        return pack(files, folders)

    def _common(self, node: Node, folder: PurePosixPath) -> Iterator[Sent]:
        yield from self._units(node, folder)
        for name, text in scripts.texts(*unit_files.SCRIPTS).items():
            yield Sent(folder / name, text)
        yield Sent(folder / "announce", announce.script().content)
        for name in ("output", "daemons"):
            yield Sent(folder / name, "", 0o600, self.site.uid)
        # The script `end` overwrites these in place: the node can have no space left by then.
        for name in ("ended", *(str(slave.index) for slave in self.placed[node])):
            yield Sent(folder / f"{name}.new", "\n", 0o600)
        here = self._here(node)
        for name, text in self.files.items():
            whose, _, short = name.rpartition("/")
            if not whose or whose in here:
                yield self._file(folder / "files" / name, short, text)

    def _units(self, node: Node, _folder: PurePosixPath) -> Iterator[Sent]:
        """Yield the unit files for the node's systemd."""
        for name, text in texts_at(node, self.units).items():
            yield Sent(UNITS / name, text)

    def _here(self, node: Node) -> list[str]:
        """Return the names whose files the node gets: its slaves, and `master` on the master's node."""
        return [*(["master"] if node == self.master else []), *(slave.name for slave in self.placed[node])]

    def _file(self, path: PurePosixPath, short: str, text: str) -> Sent:
        if short in ssh_access.SECRETS:
            return Sent(path, text, 0o600, self.site.uid)
        return Sent(path, text, 0o755 if short == "agent" else 0o644)

    def _announced(self, node: Node, folder: PurePosixPath, etcd: Etcd, timing: NodeTiming) -> Iterator[Sent]:
        for slave in self.placed[node]:
            check = announce.while_greeting(node.address, slave.port)
            yield from announced(slave, check, folder / "announced" / str(slave.index), etcd, timing)


def texts_at(node: Node, units: Iterable[UnitFile]) -> dict[str, str]:
    """Return the contents of a node's unit files by name."""
    prefix = f"{node.name}/"
    return {unit.name.removeprefix(prefix): unit.content for unit in units if unit.name.startswith(prefix)}


def announced(
    one: Slave | Process, check: str, folder: PurePosixPath, etcd: Etcd, timing: NodeTiming
) -> Iterator[Sent]:
    """Yield the settings that announce a slave or a process in etcd while `check` succeeds."""
    said = Announcement(one.key, one.member, check, timing.ttl, timing.refresh, timing.retry)
    for unit in announce.folder(said, etcd):
        yield Sent(folder / unit.name, unit.content, 0o600)
