"""Fleet's API as its documentation has it, spoken to over TCP and over a Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_fake import Cluster, serving
from fleet_fake import Machine as FakeMachine
from hypothesis import given
from hypothesis import strategies as st
from test_units_fleet import JOBS, units

from units import quoting
from units.errors import UnitError
from units.fleet.client import Client, Machine
from units.fleet.options import options
from units.job import UnitFile

AMD, ARM = {"arch": "amd64"}, {"arch": "arm64"}
MACHINES = {"a": ARM, "b": AMD, "c": AMD}
SLAVES, DISCOVERY, MASTER = units(JOBS["two-nodes"])


@pytest.fixture(params=["tcp", "unix"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    path = tmp_path / "fleet.sock" if request.param == "unix" else None
    with serving(Cluster({id_: FakeMachine(data) for id_, data in MACHINES.items()}), path) as url:
        yield Client(url)


def instance(template: UnitFile, number: int) -> UnitFile:
    return UnitFile(template.name.replace("@.", f"@{number}."), template.content)


def submitted(fleet: Client, slaves: int) -> None:
    for number in range(1, slaves + 1):
        fleet.submit(instance(SLAVES, number), "launched")
        fleet.submit(instance(DISCOVERY, number), "launched")
    fleet.submit(MASTER, "loaded")


def settled(fleet: Client) -> dict[str, tuple[str, str]]:
    """Each unit's state and machine, once nothing changes any more."""
    before = None
    while (now := {unit.name: (unit.current, unit.machine) for unit in fleet.units()}) != before:
        before = now
    return now


def test_units_go_where_their_options_let_them(fleet: Client) -> None:
    submitted(fleet, slaves=3)
    assert settled(fleet) == {
        "slaves_hello@1.service": ("launched", "b"),
        "discovery_hello@1.service": ("launched", "b"),
        "slaves_hello@2.service": ("launched", "c"),
        "discovery_hello@2.service": ("launched", "c"),
        "slaves_hello@3.service": ("inactive", ""),
        "discovery_hello@3.service": ("inactive", ""),
        "master_hello.service": ("loaded", "b"),
    }


def test_a_state_is_what_systemd_has_of_a_unit(fleet: Client) -> None:
    submitted(fleet, slaves=1)
    settled(fleet)
    assert {state.name: state.active for state in fleet.states()} == {
        "slaves_hello@1.service": "active",
        "discovery_hello@1.service": "active",
        "master_hello.service": "inactive",
    }
    fleet.want(MASTER.name, "launched")
    settled(fleet)
    (master,) = fleet.states(MASTER.name)
    assert (master.machine, master.load, master.active, master.sub) == ("b", "loaded", "active", "running")


def test_what_is_destroyed_is_gone(fleet: Client) -> None:
    fleet.submit(MASTER, "inactive")
    assert fleet.unit(MASTER.name)
    assert [fleet.destroy(MASTER.name), fleet.destroy(MASTER.name)] == [True, False]
    assert fleet.unit(MASTER.name) is None


def test_a_unit_of_the_same_name_is_left_alone(fleet: Client) -> None:
    fleet.submit(MASTER, "inactive")
    with pytest.raises(UnitError, match=r"fleet has a unit master_hello\.service already"):
        fleet.submit(MASTER, "launched")
    unit = fleet.unit(MASTER.name)
    assert unit is not None
    assert unit.wanted == "inactive"


def test_a_refusal_says_what_fleet_says(fleet: Client) -> None:
    with pytest.raises(UnitError, match=r"unit does not exist and options field empty \(409\)"):
        fleet.want("absent.service", "launched")
    with pytest.raises(UnitError, match=r"the unit is not valid \(400\)"):
        fleet.submit(UnitFile("nothing", "[Service]\nExecStart=/bin/true\n"), "launched")


def test_machines_tell_their_metadata(fleet: Client) -> None:
    assert fleet.machines() == tuple(Machine(id_, "10.0.0.1", data) for id_, data in MACHINES.items())


def test_a_fleet_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"fleet at unix:///.* does not answer"):
        Client(f"unix://{tmp_path}/none").units()


@pytest.mark.parametrize("url", ["fleet:49153", "unix://", "https://fleet"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UnitError, match="is no address of fleet"):
        Client(url)


def test_a_comment_is_no_option_and_a_long_value_keeps_its_lines() -> None:
    unit = UnitFile(
        "x.service", "[Unit]\n# no=option\nAfter=a b\n\n[Service]\nExecStart=/bin/echo \\\n    a=b\n"
    )
    assert options(unit) == [
        {"section": "Unit", "name": "After", "value": "a b"},
        {"section": "Service", "name": "ExecStart", "value": "/bin/echo \\\n    a=b"},
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_no_word_of_a_command_is_taken_for_an_option(words: list[str]) -> None:
    value = " \\\n    ".join(["/bin/echo", *map(quoting.systemd, words)])
    found = options(UnitFile("x.service", f"[Service]\nExecStart={value}\nKillMode=mixed\n"))
    assert [(one["name"], one["value"]) for one in found] == [("ExecStart", value), ("KillMode", "mixed")]
