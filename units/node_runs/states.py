"""The units of a run as systemd sees them: each node is asked once for all it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from units.job import UnitState
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node

_WITHIN = 5.0
_PROPERTIES = "--property=Id,ActiveState,MainPID"
# What other engines say; of others systemd's words are the best there are.
_WORDS = {"active": "alive", "inactive": "ended"}


def states(allocation: Allocation, nodes: Iterable[Node], links: Links) -> tuple[UnitState, ...]:
    """Slaves, then the master, or processes, with their node. On one that is silent all are `away`."""
    answers = links.each(nodes, lambda node, link: _ask(link, list(_units(allocation, node.name))))
    found = []
    for share in allocation.shares:
        said = answers.get(share.node)
        for unit, slots in _units(allocation, share.node).items():
            known = said.get(unit, {}) if isinstance(said, dict) else {"ActiveState": "away"}
            found.append(_state(unit, share.node, slots, known))
    return tuple(sorted(found, key=lambda state: (state.slots == 0, len(state.name), state.name)))


def parse(text: str) -> dict[str, dict[str, str]]:
    """What `systemctl show` says of several units, by their names."""
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n"))
    return {block["Id"]: block for block in blocks if "Id" in block}


def _units(allocation: Allocation, node: str) -> dict[str, int]:
    """The names of what runs on a node, with the slots of each."""
    share = next(share for share in allocation.shares if share.node == node)
    units = {f"{seat.unit}.service": seat.slots for seat in share.seats}
    return units | ({allocation.master_unit: 0} if allocation.has_ranks and node == allocation.master else {})


def _ask(link: Link, units: list[str]) -> Mapping[str, Mapping[str, str]]:
    return parse(link.ask(("systemctl", "show", _PROPERTIES, *units), within=_WITHIN))


def _state(unit: str, node: str, slots: int, known: Mapping[str, str]) -> UnitState:
    active = known.get("ActiveState", "inactive")
    pid = int(known.get("MainPID", "0"))
    return UnitState(unit.removesuffix(".service"), node, slots, _WORDS.get(active, active), pid)
