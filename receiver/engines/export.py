"""What turns a job into units to look at: the engine that is up, or a form that goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from receiver.engine_choice import ENGINES
from receiver.errors import ReceiverError
from receiver.nodes.arch import own_arch
from receiver.runs.context import Parts
from units import compose
from units.fleet import unit_files as fleet
from units.job import Job, UnitFile
from units.oci.runtime import APP_ID
from units.systemd.unit_files import Site

Render = Callable[[Job], tuple[UnitFile, ...]]


def renderer(parts: Parts, name: str) -> Render:
    """What renders for the engine `name`; ReceiverError when nothing does now."""
    ours = parts.engine
    elsewhere: dict[str, Render] = {compose.NAME: compose.units, fleet.NAME: lambda job: _fleet(parts, job)}
    if name == ours.name:
        return ours.units
    if name in elsewhere:
        return elsewhere[name]
    if name in ENGINES:
        raise ReceiverError(f"nap is up with the engine {ours.name}, not {name}", f"nap up --engine {name}")
    known = ", ".join((ours.name, *elsewhere))
    raise ReceiverError(f"there is no engine {name!r}", f"there are {known}")


def _fleet(parts: Parts, job: Job) -> tuple[UnitFile, ...]:
    pids, share = parts.settings.containers.pids, parts.settings.share
    site = Site(str(parts.home.root), parts.home.id, APP_ID, pids, share)
    return fleet.units(job, site, own_arch())
