"""A small cluster of fleet's, as `fleet_serving` has it behind fleet's documented HTTP API.

Units are taken, placed by their [X-Fleet] options and brought one state further now and then, and each time
the cluster is looked at; what comes of it on a machine is its agent's to do. What anybody sees of a unit's
state is what machines have published: see `fleet_states`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar

from support.fleet.states import Known, Published, Publisher

STATES = ("inactive", "loaded", "launched")


@dataclass
class Held:
    """A unit: what is wanted of it, where it is, and how far it has come."""

    name: str
    options: list[dict[str, str]]
    wanted: str
    current: str = "inactive"
    machine: str = ""

    def asks(self, option: str) -> list[str]:
        """The values of an option of [X-Fleet]; `%i` is the instance's name."""
        instance = self.name.partition("@")[2].rpartition(".")[0]
        own = (one for one in self.options if (one["section"], one["name"]) == ("X-Fleet", option))
        return [one["value"].replace("%i", instance) for one in own]

    def text(self) -> str:
        """As it is written out on its machine."""
        sections: dict[str, list[str]] = {}
        for one in self.options:
            sections.setdefault(one["section"], []).append(f"{one['name']}={one['value']}\n")
        return "\n".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())


# What is to be done, with which unit, and the unit's text.
Order = tuple[str, str, str]
_VERBS = {
    ("inactive", "loaded"): "load",
    ("loaded", "launched"): "start",
    ("launched", "loaded"): "stop",
    ("loaded", "inactive"): "unload",
}
T = TypeVar("T")
R = TypeVar("R")


class Agent(Protocol):
    """What carries out on a machine what was decided for it."""

    def carry_out(self, orders: list[Order]) -> None:
        """In this order."""

    def states(self, names: list[str]) -> Known:
        """As its systemd has them; also of those that it has yet to unload."""


class Nothing:
    """The agent of a machine that is not there: whatever it is told to do has happened."""

    def __init__(self) -> None:
        self._started: set[str] = set()

    def carry_out(self, orders: list[Order]) -> None:
        for verb, name, _ in orders:
            (self._started.add if verb == "start" else self._started.discard)(name)

    def states(self, names: list[str]) -> Known:
        running, dead = ("loaded", "active", "running"), ("loaded", "inactive", "dead")
        return {name: running if name in self._started else dead for name in names}


@dataclass
class Machine:
    metadata: dict[str, str]
    address: str = "10.0.0.1"
    agent: Agent = field(default_factory=Nothing)


@dataclass
class Cluster:
    """`machines` by id. One that is `silent` answers nothing; after `puts` further PUTs it falls silent.

    While `etcd_away` every request is answered 500, without a text, and nothing happens on machines. All that
    a machine knows it publishes anew after so many seconds.
    """

    machines: dict[str, Machine]
    units: dict[str, Held] = field(default_factory=dict)
    silent: bool = False
    puts: int | None = None
    page_size: int = 2
    etcd_away: bool = False
    publish_every: float = 24.0
    seen: dict[str, str] = field(default_factory=dict)
    """Where each unit was that ever was somewhere."""
    emptied: threading.Event = field(default_factory=threading.Event)
    """Its last unit was destroyed."""
    refusals: int = 0
    """How often it has answered 500."""
    _destroyed: list[Held] = field(default_factory=list)
    _published: Published = field(default_factory=Published)
    _publishers: dict[str, Publisher] = field(default_factory=dict)

    def step(self) -> None:
        """Every unit one state nearer to what is wanted of it."""
        if self.etcd_away:
            return
        orders: dict[str, list[Order]] = {}
        for unit in self._destroyed:
            orders.setdefault(unit.machine, []).append(("unload", unit.name, ""))
        self._destroyed.clear()
        for unit in self.units.values():
            before = unit.current
            self._move(unit)
            if unit.current != before:
                order = (_VERBS[before, unit.current], unit.name, unit.text())
                orders.setdefault(unit.machine, []).append(order)
                self.seen[unit.name] = unit.machine
            if unit.wanted == unit.current == "inactive":
                unit.machine = ""
        self._on_each(orders, lambda agent, given: agent.carry_out(given))

    def look(self) -> None:
        """Have machines publish what they know of their units."""
        if self.etcd_away:
            return
        asked: dict[str, list[str]] = {machine: [] for machine in self.machines}
        for unit in self.units.values():
            if unit.machine and unit.current != "inactive":
                asked[unit.machine].append(unit.name)
        for machine, seen in self._on_each(asked, lambda agent, names: agent.states(names)).items():
            self._publisher(machine).publish(seen)

    def _publisher(self, machine: str) -> Publisher:
        if machine not in self._publishers:
            self._publishers[machine] = Publisher(machine, self._published, self.publish_every)
        return self._publishers[machine]

    def _move(self, unit: Held) -> None:
        now, then = STATES.index(unit.current), STATES.index(unit.wanted)
        if then > 0 and not unit.machine:
            unit.machine = next((machine for machine in self.machines if self._takes(machine, unit)), "")
        if unit.machine:
            unit.current = STATES[now + (then > now) - (then < now)]

    def _on_each(self, what: dict[str, T], do: Callable[[Agent, T], R]) -> dict[str, R]:
        """By machine, at the same time."""
        with ThreadPoolExecutor() as pool:
            agents = [self.machines[machine].agent for machine in what]
            return dict(zip(what, pool.map(do, agents, what.values()), strict=True))

    def _takes(self, machine: str, unit: Held) -> bool:
        there = [other for other in self.units.values() if other.machine == machine and other is not unit]
        metadata = {f"{name}={value}" for name, value in self.machines[machine].metadata.items()}
        apart = not any(
            fnmatchcase(b.name, glob) for a, b in _pairs(unit, there) for glob in a.asks("Conflicts")
        )
        beside = set(unit.asks("MachineOf")) <= {other.name for other in there}
        return apart and beside and set(unit.asks("MachineMetadata")) <= metadata

    def put(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        unit, state, options = self.units.get(name), body.get("desiredState", ""), body.get("options")
        if body.get("name", name) != name or (state and state not in STATES) or "." not in name:
            return error(400, "the unit is not valid")
        if unit is None and not options:
            return error(409, "unit does not exist and options field empty")
        if unit is None or (options and options != unit.options):
            # One of the same name is written over.
            self.units[name] = Held(name, options, state)
            return 201, None
        if not state:
            return error(409, "must provide DesiredState to update existing unit")
        unit.wanted = state
        return 204, None

    def get(self, name: str) -> tuple[int, Any]:
        self._wake()
        unit = self.units.get(name)
        return (200, self._entity(unit)) if unit else error(404, "unit does not exist")

    def _wake(self) -> None:
        self.step()
        self.look()

    def delete(self, name: str) -> tuple[int, Any]:
        unit = self.units.pop(name, None)
        if unit and unit.machine:
            self._destroyed.append(unit)
        if unit and not self.units:
            self.emptied.set()
        return (204, None) if unit else error(404, "unit does not exist")

    def page(self, resource: str, query: dict[str, str]) -> tuple[int, Any]:
        self._wake()
        if resource == "units":
            key, found = "units", [self._entity(unit) for unit in self.units.values()]
        elif resource == "state":
            key, found = "states", [_state(*one) for one in self._published.of(query.get("unitName", ""))]
        elif resource == "machines":
            key, found = "machines", [_machine(*pair) for pair in self.machines.items()]
        else:
            return error(404, "there is no such resource")
        if not query.get("nextPageToken", "0").isdigit():
            return error(400, "invalid value of nextPageToken query parameter")
        first = int(query.get("nextPageToken", "0"))
        last = first + self.page_size
        more = {"nextPageToken": str(last)} if last < len(found) else {}
        return 200, {key: found[first:last], **more}

    def _entity(self, unit: Held) -> dict[str, Any]:
        """What its machine has not published, or what was removed since, is inactive."""
        current = unit.current if self._published.has(unit.name, unit.machine) else "inactive"
        said = {"name": unit.name, "options": unit.options, "desiredState": unit.wanted}
        return {**said, "currentState": current, **({"machineID": unit.machine} if unit.machine else {})}


def _pairs(unit: Held, others: list[Held]) -> Iterator[tuple[Held, Held]]:
    """Both ways: who is there may mind the new one, too."""
    for other in others:
        yield unit, other
        yield other, unit


def _state(name: str, machine: str, known: tuple[str, str, str]) -> dict[str, str]:
    states = zip(("systemdLoadState", "systemdActiveState", "systemdSubState"), known, strict=True)
    return {"name": name, "hash": "0", "machineID": machine, **dict(states)}


def _machine(id_: str, machine: Machine) -> dict[str, Any]:
    return {"id": id_, "primaryIP": machine.address, "metadata": machine.metadata}


def error(code: int, message: str) -> tuple[int, Any]:
    return code, {"error": {"code": code, "message": message}}
