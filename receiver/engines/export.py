"""What turns a job into units to look at: the engine that is up, or a form that goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from receiver import engine_choice
from receiver.errors import ReceiverError
from receiver.runs.context import Parts
from units import compose
from units.job import Job, UnitFile

Render = Callable[[Job], tuple[UnitFile, ...]]


def renderer(parts: Parts, name: str) -> Render:
    """What renders for the engine `name`; ReceiverError when nothing does now."""
    ours = parts.engine
    if name == ours.name:
        return ours.units
    if name == compose.NAME:
        return compose.units
    if name not in engine_choice.NAMES:
        known = ", ".join((compose.NAME, *engine_choice.NAMES))
        raise ReceiverError(f"there is no engine {name!r}", f"there are {known}")
    return lambda job: _exported(parts, name, job)


def _exported(parts: Parts, name: str, job: Job) -> tuple[UnitFile, ...]:
    units = engine_choice.support(name).export(parts.home, parts.settings, job)
    if units is None:
        sentence = f"nap is up with the engine {parts.engine.name}, not {name}"
        raise ReceiverError(sentence, f"nap up --engine {name}")
    return units
