"""Where a run is: its record in the run's folder, from when its units are sent until the folder is pruned."""

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
    """A slave's: its index, the port of its sshd, and the slots and bytes it takes; or a process's.

    `unit` is what systemd calls it, but for the ending.
    """

    index: int
    port: int
    slots: int
    memory: int
    process: str = ""
    unit: str = ""


@dataclass(frozen=True)
class NodeShare:
    """One node's share of a run: the unit files it has, and its slaves."""

    node: str
    runtime: str
    units: tuple[str, ...]
    seats: tuple[Seat, ...]


@dataclass(frozen=True)
class Allocation:
    """`folder` is the run's on every node, `labels` find its containers; the master is on the first node.

    `shared` is what slaves and master see as /share. Where it is the same folder on all nodes it belongs to
    the user with the number `sharer`, as whom it is made, read and removed: root may be nobody there.
    A run of processes has no `flavour`; a `service` stays up, and is found on the node `web`.
    Slaves' containers are called `container` and their index; `results` are the run's globs. A `script` calls
    mpirun itself.
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
        """The name of its file."""
        return next(name for name in self.shares[0].units if "master_" in name)

    @property
    def common(self) -> str:
        """`shared` where it is the same folder on all nodes, else empty."""
        return "" if self.sharer is None else self.shared

    @property
    def has_ranks(self) -> bool:
        """Whether it is an MPI run."""
        return bool(self.flavour)

    def container_of(self, seat: Seat) -> str:
        return f"{self.container}{seat.index}"

    def write(self, folder: Path) -> None:
        """On disk before anything is on a node: who comes after a receiver that died looks there."""
        durable.write(folder / _RECORD, json.dumps(asdict(self)))

    def seats(self) -> list[tuple[str, Seat]]:
        """With their nodes, in the order of slaves or processes."""
        seats = [(share.node, seat) for share in self.shares for seat in share.seats]
        return sorted(seats, key=lambda pair: pair[1].index)

    def places(self) -> dict[str, str]:
        """How to call each slave, by its hostname: with its node."""
        slaves = ((f"{self.app}-slave{seat.index}", node) for node, seat in self.seats())
        return {slave: f"{slave} on {node}" for slave, node in slaves}

    def uses(self) -> tuple[Use, ...]:
        """What its slaves take of nodes, in slave order."""
        return tuple(Use(node, Need(seat.slots, seat.memory)) for node, seat in self.seats())

    def ports(self) -> tuple[tuple[str, int], ...]:
        """Where its slaves listen, by node, in slave order."""
        return tuple((node, seat.port) for node, seat in self.seats())

    @staticmethod
    def forget(folder: Path) -> None:
        (folder / _RECORD).unlink()

    @classmethod
    def read(cls, folder: Path) -> Allocation | None:
        """None where nothing was submitted; UnitError when the record is another engine's."""
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
