"""Fleet's API as its documentation and fleetd have it, spoken to over TCP and over a Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fleet.cluster import Cluster
from support.fleet.cluster import Machine as FakeMachine
from support.fleet.server import serving
from support.jobs.fleet import units
from support.jobs.nodes import JOBS
from support.polling import until

from units import quoting
from units.errors import UnitError
from units.fleet.client import FleetClient, FleetMachine
from units.fleet.options import options
from units.job import UnitFile

AMD, ARM = {"arch": "amd64"}, {"arch": "arm64"}
MACHINES = {"a": ARM, "b": AMD, "c": AMD}
SLAVES, DISCOVERY, MASTER = units(JOBS["two-nodes"])


@pytest.fixture(params=["tcp", "unix"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FleetClient]:
    path = tmp_path / "fleet.sock" if request.param == "unix" else None
    with serving(Cluster({id_: FakeMachine(data) for id_, data in MACHINES.items()}), path) as url:
        yield FleetClient([url])


def instance(template: UnitFile, number: int) -> UnitFile:
    return UnitFile(template.name.replace("@.", f"@{number}."), template.content)


def submitted(fleet: FleetClient, slaves: int) -> None:
    for number in range(1, slaves + 1):
        fleet.submit(instance(SLAVES, number), "launched")
        fleet.submit(instance(DISCOVERY, number), "launched")
    fleet.submit(MASTER, "loaded")


def settled(fleet: FleetClient) -> dict[str, str]:
    """Each unit's machine, once nothing changes any more."""
    before = None
    while (now := {unit.name: unit.machine for unit in fleet.units()}) != before:
        before = now
    return now


def test_units_go_where_their_options_let_them(fleet: FleetClient) -> None:
    submitted(fleet, slaves=3)
    assert settled(fleet) == {
        "slaves_hello.3@1.service": "b",
        "discovery_hello.3@1.service": "b",
        "slaves_hello.3@2.service": "c",
        "discovery_hello.3@2.service": "c",
        "slaves_hello.3@3.service": "",
        "discovery_hello.3@3.service": "",
        "master_hello.3.service": "b",
    }


def test_what_is_destroyed_is_gone(fleet: FleetClient) -> None:
    fleet.submit(MASTER, "inactive")
    assert [unit.name for unit in fleet.units()] == [MASTER.name]
    assert [fleet.destroy(MASTER.name), fleet.destroy(MASTER.name)] == [True, False]
    assert fleet.units() == ()


def test_a_unit_that_was_submitted_may_be_submitted_again(fleet: FleetClient) -> None:
    """Who had no answer does not know whether it was."""
    fleet.submit(MASTER, "inactive")
    fleet.submit(MASTER, "loaded")
    assert [unit.wanted for unit in fleet.units()] == ["loaded"]


def test_a_refusal_says_what_fleet_says(fleet: FleetClient) -> None:
    with pytest.raises(UnitError, match=r"unit does not exist and options field empty \(409\)"):
        fleet.want("absent.service", "launched")
    with pytest.raises(UnitError, match=r"the unit is not valid \(400\)"):
        fleet.submit(UnitFile("nothing", "[Service]\nExecStart=/bin/true\n"), "launched")


def test_machines_tell_their_metadata(fleet: FleetClient) -> None:
    assert fleet.machines() == tuple(FleetMachine(id_, "10.0.0.1", data) for id_, data in MACHINES.items())


def test_a_fleet_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"fleet at unix:///.* does not answer"):
        FleetClient([f"unix://{tmp_path}/none"]).units()


def test_a_member_that_is_down_is_passed_over(tmp_path: Path) -> None:
    with serving(Cluster({"a": FakeMachine(AMD)})) as url:
        fleet = FleetClient([f"unix://{tmp_path}/none", url])
        fleet.submit(MASTER, "inactive")
        assert fleet.destroy(MASTER.name)


def test_what_was_not_answered_is_asked_again(tmp_path: Path) -> None:
    """Fleetd was started anew."""
    cluster, path = Cluster({"a": FakeMachine(AMD)}), tmp_path / "fleet.sock"
    fleet = FleetClient([f"unix://{path}"], patience=20)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(fleet.submit, MASTER, "inactive")
        with serving(cluster, path):
            asked.result()
    assert list(cluster.units) == [MASTER.name]


def test_a_fleet_whose_etcd_is_away_is_asked_again_until_it_is_back() -> None:
    cluster = Cluster({"a": FakeMachine(AMD)}, etcd_away=True)
    with serving(cluster) as url, ThreadPoolExecutor() as pool:
        with pytest.raises(UnitError, match=r"failed at DELETE /units/master_hello.3.service: status 500"):
            FleetClient([url]).destroy(MASTER.name)
        destroyed = pool.submit(FleetClient([url], patience=20).destroy, MASTER.name)
        until(lambda: cluster.refusals > 1, True, 10)
        cluster.etcd_away = False
        assert destroyed.result() is False


@pytest.mark.parametrize("url", ["fleet:49153", "unix://", "https://fleet"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UnitError, match="is no address of fleet"):
        FleetClient([url])


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
