"""Whole jobs as systemd's units, compared with `tests/golden/systemd`, and read by systemd itself.

To write these files anew, and then look at what has changed:
`NAP_GOLDEN=write python -m pytest tests/units -k test_unit_files`, or `make golden` for all of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.golden import assert_golden, verified, write
from support.jobs.nodes import (
    ALL,
    JOBS,
    ONE,
    SITE,
    TWO,
    units,
)

from units.errors import UnitError
from units.systemd import unit_files
from units.systemd.bundle import Bundle

GOLDEN = Path(__file__).parents[2] / "golden" / "systemd"
@pytest.mark.parametrize("name", ALL)
def test_a_whole_job_is_rendered_as_it_always_was(name: str) -> None:
    assert_golden(GOLDEN / name, units(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_systemd_finds_nothing_wrong_with_any_unit(name: str, tmp_path: Path) -> None:
    made = {unit.name: unit.content for unit in units(ALL[name], runtime="/bin/true")}
    write(tmp_path, made)
    for node in {Path(path).parent for path in made}:
        assert verified(tmp_path / node) == ""


def test_a_unit_that_systemd_does_not_take_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"wrong.service": "[Service]\nExecStart=/bin/true\nTyp=exec\n"})
    assert "Typ" in verified(tmp_path)


def test_each_node_has_units_of_its_own_slaves_and_the_first_one_the_master() -> None:
    assert [unit.name for unit in units(JOBS["limited"])] == [
        "node1/c0ffee_slaves_hello@.service",
        "node1/c0ffee_discovery_hello@.service",
        "node2/c0ffee_slaves_hello@.service",
        "node2/c0ffee_discovery_hello@.service",
        "node1/c0ffee_master_hello.service",
    ]


def test_a_node_that_is_gone_is_named() -> None:
    with pytest.raises(UnitError, match="the node node2 of hello-slave2 is not there any more"):
        unit_files.render_all(JOBS["two-nodes"], [ONE], SITE)


def test_two_runs_of_one_release_have_units_of_their_own() -> None:
    first, second = ALL["service"], replace(ALL["service"], run=4)
    assert not {unit.name for unit in units(first)} & {unit.name for unit in units(second)}


def test_a_secret_of_the_environment_is_in_no_unit() -> None:
    assert not any("a b" in unit.content for unit in units(JOBS["one"]))


def test_slaves_of_one_node_have_each_the_limits_of_their_own_size() -> None:
    made = Bundle.of(JOBS["limited"], [ONE, TWO], SITE, ())
    memory = "--memory 67108864 --memory-swap 67108864"
    assert [slave.name for slave in made.placed[ONE]] == ["hello-slave1", "hello-slave3"]
    assert made.files["hello-slave1/limits"].startswith(f"LIMITS=--cpus 4 {memory} --volume ")
    assert made.files["hello-slave3/limits"].startswith(f"LIMITS=--cpus 2 {memory} --volume ")
    one = Bundle.of(JOBS["one"], [ONE], SITE, ()).files["hello-slave1/limits"]
    assert one.startswith("LIMITS=--volume ")
