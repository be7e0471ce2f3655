"""Wait until fleet has placed units on machines. This polls: fleet's API has no notifications."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from units.errors import UnitError
from units.fleet.client import FleetClient, FleetMachine, FleetUnit
from units.fleet.options import options
from units.job import UnitFile

_BETWEEN_LOOKS = 0.1
_PLACE = "X-Fleet"


def until_placed(
    client: FleetClient, wanted: Sequence[UnitFile], within: float, given_up: Callable[[], bool]
) -> dict[str, FleetMachine] | None:
    """Return the machine of each unit, by its name; None when `given_up` returns True.

    Raises:
        UnitError: some units were on no machine after `within` seconds.
    """
    end = time.monotonic() + within
    while not given_up():
        machines = {machine.id: machine for machine in client.machines()}
        there = {unit.name: unit for unit in client.units()}
        late = [unit for unit in wanted if unit.name not in there or there[unit.name].machine not in machines]
        if not late:
            return {unit.name: machines[there[unit.name].machine] for unit in wanted}
        if time.monotonic() > end:
            raise _too_late(late[0], there.get(late[0].name), within, machines)
        time.sleep(_BETWEEN_LOOKS)
    return None


def _too_late(
    wanted: UnitFile, unit: FleetUnit | None, within: float, machines: Mapping[str, FleetMachine]
) -> UnitError:
    if unit is None:
        return UnitError(f"the unit {wanted.name} was taken out of fleet", "see: fleetctl list-unit-files")
    if unit.machine:
        sentence = f"fleet has put {wanted.name} on the machine {unit.machine}, which it does not know"
        return UnitError(sentence, "see: fleetctl list-machines")
    asked = [f"{one['name']}={one['value']}" for one in options(wanted) if one["section"] == _PLACE]
    sentence = f"fleet found no machine for {wanted.name} within {within:g} s; it asks for"
    has = ", ".join(map(_shown, machines.values())) or "no machines"
    return UnitError(f"{sentence} {' and '.join(asked)}", f"fleet has {has}")


def _shown(machine: FleetMachine) -> str:
    return " ".join((machine.address, *(f"{name}={value}" for name, value in machine.metadata.items())))
