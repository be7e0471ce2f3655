"""A run's units that are processes, read from the files they were rendered to."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple


class Unit(NamedTuple):
    """A process of a run. `kind` is `slave`, `master` or `process`; `key` has `value` in etcd while it lives.

    `place` is the name of its folder or container. Of a master, `mpich` means that its mpirun is MPICH's, and
    `script` that it is a script that calls mpirun.
    """

    kind: str
    name: str
    hostname: str
    place: str
    argv: list[str]
    env: dict[str, str]
    mpich: bool = False
    script: bool = False
    port: int | None = None
    key: str = ""
    value: str = ""

    @property
    def is_slave(self) -> bool:
        return self.kind == "slave"


def read_units(folder: str) -> list[Unit]:
    """Return the units in the folder, in slave order, each with the key and value of its discovery unit."""
    found = [_load(f"{folder}/{name}") for name in sorted(os.listdir(folder))]
    announced = {unit["announces"]: unit for unit in found if unit["kind"] == "discovery"}
    processes = [unit for unit in found if unit["kind"] != "discovery"]
    processes.sort(key=lambda unit: int(unit.get("index", 0)))
    return [_unit(unit, announced.get(unit["name"], {})) for unit in processes]


def _load(path: str) -> dict[str, Any]:
    with open(path) as file:
        unit: dict[str, Any] = json.load(file)
    return unit


def _unit(unit: dict[str, Any], discovery: dict[str, Any]) -> Unit:
    known = {name: unit[name] for name in Unit._fields if name in unit}
    return Unit(**known, key=discovery.get("key", ""), value=discovery.get("value", ""))
