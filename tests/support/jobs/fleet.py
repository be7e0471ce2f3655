"""The units of jobs as fleet takes them."""

from __future__ import annotations

from dataclasses import replace

from support.jobs.nodes import SITE

from units.fleet import unit_files
from units.job import Job, UnitFile


def units(job: Job) -> tuple[UnitFile, ...]:
    return unit_files.units(job, replace(SITE, prefix=job.prefix), "amd64")
