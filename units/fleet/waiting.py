"""Waits for what fleet makes of units; it is asked now and then, since it tells nobody by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from units.errors import UnitError
from units.fleet.client import Client, Machine, State, Unit
from units.fleet.options import options
from units.job import UnitFile

_BETWEEN_LOOKS = 0.25
_PLACE = "X-Fleet"


def until_loaded(
    client: Client, wanted: Sequence[UnitFile], within: float, given_up: Callable[[], bool]
) -> dict[str, Machine] | None:
    """The machine of each unit, by its name; None when it was given up.

    Raises:
        UnitError: some were not loaded within so many seconds.
    """
    end = time.monotonic() + within
    while not given_up():
        machines = {machine.id: machine for machine in client.machines()}
        there = {unit.name: unit for unit in client.units()}
        late = [unit for unit in wanted if not _is_loaded(there.get(unit.name), machines)]
        if not late:
            return {unit.name: machines[there[unit.name].machine] for unit in wanted}
        if time.monotonic() > end:
            raise _too_late(late[0], there.get(late[0].name), within, machines)
        time.sleep(_BETWEEN_LOOKS)
    return None


def until_active(
    client: Client, names: Collection[str], within: float, given_up: Callable[[], bool]
) -> State | None:
    """The state of the first one that failed; None once all are active, or it was given up.

    Raises:
        UnitError: some were not active within so many seconds.
    """
    end = time.monotonic() + within
    while not given_up():
        states = {state.name: state for state in client.states() if state.name in names}
        if failed := next((state for state in states.values() if state.active == "failed"), None):
            return failed
        late = [name for name in names if name not in states or states[name].active != "active"]
        if not late:
            return None
        if time.monotonic() > end:
            raise UnitError(f"fleet has not started {late[0]} within {within:g} s", "see: fleetctl journal")
        time.sleep(_BETWEEN_LOOKS)
    return None


def until_gone(client: Client, names: Collection[str], within: float) -> None:
    """Until no machine has them any more, or so many seconds have passed."""
    end = time.monotonic() + within
    while time.monotonic() < end and any(state.name in names for state in client.states()):
        time.sleep(_BETWEEN_LOOKS)


def _is_loaded(unit: Unit | None, machines: Collection[str]) -> bool:
    return unit is not None and unit.machine in machines and unit.current != "inactive"


def _too_late(
    wanted: UnitFile, unit: Unit | None, within: float, machines: Mapping[str, Machine]
) -> UnitError:
    if unit is None:
        return UnitError(f"the unit {wanted.name} was taken out of fleet", "see: fleetctl list-unit-files")
    if unit.machine:
        where = machines[unit.machine].address if unit.machine in machines else unit.machine
        sentence = f"fleet has not put {wanted.name} on its machine {where} within {within:g} s"
        return UnitError(sentence, "is fleetd up there?")
    asked = [f"{one['name']}={one['value']}" for one in options(wanted) if one["section"] == _PLACE]
    sentence = f"fleet found no machine for {wanted.name} within {within:g} s; it asks for"
    has = ", ".join(map(_shown, machines.values())) or "no machines"
    return UnitError(f"{sentence} {' and '.join(asked)}", f"fleet has {has}")


def _shown(machine: Machine) -> str:
    return " ".join((machine.address, *(f"{name}={value}" for name, value in machine.metadata.items())))
