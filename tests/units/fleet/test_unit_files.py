"""Whole jobs as fleet's units, compared with `tests/golden/fleet`: see test_units_systemd.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.golden import assert_golden, verified, write
from support.jobs.fleet import units
from support.jobs.nodes import JOB, JOBS

from units.errors import UnitError
from units.job import Job, Mpi

GOLDEN = Path(__file__).parents[2] / "golden" / "fleet"


def content(job: Job, name: str) -> str:
    return next(unit.content for unit in units(job) if unit.name == name)


@pytest.mark.parametrize("name", JOBS)
def test_a_whole_job_is_rendered_as_it_always_was(name: str) -> None:
    assert_golden(GOLDEN / name, units(JOBS[name]))


@pytest.mark.parametrize("name", JOBS)
def test_systemd_finds_nothing_wrong_with_any_unit(name: str, tmp_path: Path) -> None:
    write(tmp_path, {unit.name: unit.content for unit in units(JOBS[name])})
    assert verified(tmp_path) == ""


def test_where_slaves_were_placed_is_fleets_to_say() -> None:
    slaves = tuple(replace(slave, node="", port=0, address="127.64.0.1") for slave in JOBS["one"].slaves)
    assert units(replace(JOBS["one"], slaves=slaves)) == units(JOBS["one"])


def test_slaves_keep_apart_and_the_others_go_where_theirs_are() -> None:
    job = JOBS["two-nodes"]
    assert content(job, "slaves_hello.3@.service").endswith(
        "[X-Fleet]\nMachineMetadata=arch=amd64\nConflicts=slaves_hello.3@*.service\n"
    )
    assert content(job, "discovery_hello.3@.service").endswith(
        "[X-Fleet]\nMachineOf=slaves_hello.3@%i.service\n"
    )
    assert content(job, "master_hello.3.service").endswith("[X-Fleet]\nMachineOf=slaves_hello.3@1.service\n")


def test_a_word_that_is_too_long_for_fleet_is_refused() -> None:
    long = replace(JOBS["one"], mpi=Mpi("openmpi5", 2, ("./hello", "ü" * 1100)))
    with pytest.raises(UnitError, match=r"a line of master_hello.3.service has 2,2\d\d bytes"):
        units(long)


def test_a_secret_of_the_environment_is_in_no_unit() -> None:
    assert not any("a b" in unit.content for unit in units(JOBS["one"]))


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (replace(JOBS["one"], image="sha256:0"), "the image of hello v7 is not an image of containers"),
        (JOB, "fleet's units are for MPI programs only, so far, and hello is none"),
    ],
)
def test_what_fleet_has_no_units_for_is_told(job: Job, why: str) -> None:
    with pytest.raises(UnitError) as told:
        units(job)
    assert told.value.message == why
