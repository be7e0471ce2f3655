"""The units of a run as systemd sees them, with one request per node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from units.job import UnitState
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node

_WITHIN = 5.0
_PROPERTIES = "--property=Id,ActiveState,MainPID"
# systemd's states in the words of the other engines. Any other state keeps systemd's name.
_WORDS = {"active": "alive", "inactive": "ended"}


def states(allocation: Allocation, nodes: Iterable[Node], links: Links) -> tuple[UnitState, ...]:
    """Return the states of slaves, then the master, or of processes. On a silent node all are `away`."""
    answers = links.each(nodes, lambda node, link: _ask(link, list(_units(allocation, node.name))))
    found = []
    for share in allocation.shares:
        said = answers.get(share.node)
        for unit, slots in _units(allocation, share.node).items():
            known = said.get(unit, {}) if isinstance(said, dict) else {"ActiveState": "away"}
            found.append(_state(unit, share.node, slots, known))
    return tuple(sorted(found, key=lambda state: (state.slots == 0, len(state.name), state.name)))


def parse(text: str) -> dict[str, dict[str, str]]:
    """Return the properties in the output of `systemctl show` for several units, by unit name."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n"))
    return {block["Id"]: block for block in blocks if "Id" in block}


def _units(allocation: Allocation, node: str) -> dict[str, int]:
    """Return the names of the units that run on a node, with the slots of each; the master has 0."""
    share = next(share for share in allocation.shares if share.node == node)
    units = {f"{seat.unit}.service": seat.slots for seat in share.seats}
    return units | ({allocation.master_unit: 0} if allocation.has_ranks and node == allocation.master else {})


def _ask(link: Link, units: list[str]) -> Mapping[str, Mapping[str, str]]:
    return parse(link.ask(("systemctl", "show", _PROPERTIES, *units), within=_WITHIN))


def _state(unit: str, node: str, slots: int, known: Mapping[str, str]) -> UnitState:
    active = known.get("ActiveState", "inactive")
    pid = int(known.get("MainPID", "0"))
    return UnitState(unit.removesuffix(".service"), node, slots, _WORDS.get(active, active), pid)
