"""A run's allocation: a record in the run's folder, from before its units are sent until it is pruned."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from units import durable
from units.errors import UnitError
from units.placement.capacity import Need, Use

_RECORD = "run.json"


@dataclass(frozen=True)
class Seat:
    """The place of one slave, or of one `process`: its index, port, slots, and memory in bytes.

    A slave's port is its sshd's. `unit` is the name of its systemd unit without the suffix.
    """

    index: int
    port: int
    slots: int
    memory: int
    process: str = ""
    unit: str = ""


@dataclass(frozen=True)
class NodeShare:
    """One node's share of a run: the names of its unit files, and its slaves or processes."""

    node: str
    runtime: str
    units: tuple[str, ...]
    seats: tuple[Seat, ...]


@dataclass(frozen=True)
class Allocation:
    """The places and files of one run. The master is on the first node.

    `folder` is the run's folder on every node, `labels` select its containers. `shared` is mounted as /share
    for slaves and master. If it is the same folder on all nodes, it belongs to the uid `sharer`, and is
    created, read and removed as that user: root can be mapped to nobody on a network file system.
    A run of processes has no `flavour`. A `service` stays up, and its web process is on the node `web`.
    A slave's container is named `container` followed by its index; `results` are the run's globs;
    `timeout` is in seconds. `script` is true when the program calls mpirun itself.
    """

    app: str
    run: int
    folder: str
    master: str
    flavour: str
    labels: tuple[str, ...]
    shares: tuple[NodeShare, ...]
    timeout: int | None = None
    container: str = ""
    workdir: str = ""
    shared: str = ""
    sharer: int | None = None
    results: tuple[str, ...] = ()
    service: bool = False
    web: str = ""
    script: bool = False

    @property
    def master_unit(self) -> str:
        """The file name of the master's unit."""
        return next(name for name in self.shares[0].units if "master_" in name)

    @property
    def common(self) -> str:
        """`shared` if it is the same folder on all nodes, else ""."""
        return "" if self.sharer is None else self.shared

    @property
    def has_ranks(self) -> bool:
        """Whether it is an MPI run."""
        return bool(self.flavour)

    def container_of(self, seat: Seat) -> str:
        return f"{self.container}{seat.index}"

    def write(self, folder: Path) -> None:
        """Write the record to disk. This precedes any change on a node, so a restarted receiver finds it."""
        durable.write(folder / _RECORD, json.dumps(asdict(self)))

    def seats(self) -> list[tuple[str, Seat]]:
        """Return all seats with their node's name, in the order of slaves or processes."""
        seats = [(share.node, seat) for share in self.shares for seat in share.seats]
        return sorted(seats, key=lambda pair: pair[1].index)

    def places(self) -> dict[str, str]:
        """Return the display name of each slave by hostname: `HOSTNAME on NODE`."""
        slaves = ((f"{self.app}-slave{seat.index}", node) for node, seat in self.seats())
        return {slave: f"{slave} on {node}" for slave, node in slaves}

    def uses(self) -> tuple[Use, ...]:
        """Return the slots and memory that each slave or process uses, in their order."""
        return tuple(Use(node, Need(seat.slots, seat.memory)) for node, seat in self.seats())

    def ports(self) -> tuple[tuple[str, int], ...]:
        """Return the node and port where each slave or process listens, in their order."""
        return tuple((node, seat.port) for node, seat in self.seats())

    @staticmethod
    def forget(folder: Path) -> None:
        (folder / _RECORD).unlink()

    @classmethod
    def read(cls, folder: Path) -> Allocation | None:
        """Return the allocation, or None when nothing was submitted.

        Raise UnitError when the record is another engine's.
        """
        try:
            found = json.loads((folder / _RECORD).read_text())
        except FileNotFoundError:
            return None
        try:
            shares = tuple(map(_share, found.pop("shares")))
            lists = {name: tuple(found[name]) for name in ("labels", "results")}
            return cls(**{**found, **lists, "shares": shares})
        except (KeyError, TypeError) as error:
            raise UnitError(f"{folder / _RECORD} is not a record of a run on nodes") from error


def _share(found: dict[str, Any]) -> NodeShare:
    seats = tuple(Seat(**seat) for seat in found["seats"])
    return NodeShare(found["node"], found["runtime"], tuple(found["units"]), seats)
