"""The files of a run whose units fleet distributes: those that the systemd engine has besides its units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from units import names
from units.fleet import unit_files
from units.job import Job, Slave, UnitFile
from units.nodes.archive import Sent
from units.nodes.node import Node
from units.systemd.bundle import Bundle
from units.systemd.unit_files import Site


class FleetBundle(Bundle):
    """A bundle that knows the names of a node's units but has no unit files: fleet gets their texts."""

    @staticmethod
    def _rendered(_job: Job, _nodes: Iterable[Node], _site: Site) -> tuple[UnitFile, ...]:
        return ()

    def _unit_of(self, slave: Slave) -> str:
        return names.slaves_unit(unit_files.as_named(self.job), slave.index)

    def unit_names(self, node: Node) -> tuple[str, ...]:
        return unit_files.names_of(self.job, self.placed[node])

    def started(self, _node: Node) -> tuple[str, ...]:
        return ()

    def _units(self, node: Node, folder: PurePosixPath) -> Iterator[Sent]:
        yield Sent(folder / unit_files.RUNTIME, unit_files.runtime(node))
