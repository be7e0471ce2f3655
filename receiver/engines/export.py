"""Renders a job's units for display or export, by the current engine or another one, or for Compose."""

from __future__ import annotations

from collections.abc import Callable

from receiver import engine_choice
from receiver.errors import ReceiverError
from receiver.runs.context import Context
from units import compose
from units.job import Job, UnitFile

Render = Callable[[Job], tuple[UnitFile, ...]]


def renderer(context: Context, name: str) -> Render:
    """Return the function that renders a job's units for the engine `name`, or for Compose.

    ReceiverError when there is no such engine. The function raises it when the engine renders only when it is
    up, and another one is.
    """
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
