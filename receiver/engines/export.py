"""What turns a job into units to look at: the engine that is up, or a form that goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from receiver import engine_choice
from receiver.errors import ReceiverError
from receiver.runs.context import Context
from units import compose
from units.job import Job, UnitFile

Render = Callable[[Job], tuple[UnitFile, ...]]


def renderer(context: Context, name: str) -> Render:
    """What renders for the engine `name`; ReceiverError when nothing does now."""
    ours = context.engine
    if name == ours.name:
        return ours.units
    if name == compose.NAME:
        return compose.units
    if name not in engine_choice.NAMES:
        known = ", ".join((compose.NAME, *engine_choice.NAMES))
        raise ReceiverError(f"there is no engine {name!r}", f"there are {known}")
    return lambda job: _exported(context, name, job)


def _exported(context: Context, name: str, job: Job) -> tuple[UnitFile, ...]:
    units = engine_choice.support(name).export(context.home, context.settings, job)
    if units is None:
        sentence = f"nap is up with the engine {context.engine.name}, not {name}"
        raise ReceiverError(sentence, f"nap up --engine {name}")
    return units
