"""What units, slaves and their addresses are called."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

from units import names
from units.job import Job

JOB = Job(app="hello", run=3, release=7, prefix="", image="sha256:0", tree=Path("/t"), stack="openmpi")
OTHER_HOME = replace(JOB, prefix="a1b2")


def test_units_are_named_for_their_part_and_app() -> None:
    assert names.slaves_unit(JOB, 2) == "slaves_hello@2"
    assert names.discovery_unit(JOB, 2) == "discovery_hello@2"
    assert names.discovery_unit(JOB, 1, "web") == "discovery_hello-web@1"
    assert names.master_unit(JOB) == "master_hello"


def test_a_service_carries_its_release_and_another_process_does_not() -> None:
    assert names.process_unit(replace(JOB, service=True), "web") == "web_hello.v7@1"
    assert names.process_unit(JOB, "app") == "app_hello@1"


def test_a_home_that_is_not_the_default_one_puts_its_id_first() -> None:
    assert names.master_unit(OTHER_HOME) == "a1b2_master_hello"
    assert names.slaves_unit(OTHER_HOME, 1) == "a1b2_slaves_hello@1"


def test_slaves_have_names_and_addresses_of_their_own_in_slave_order() -> None:
    slaves = names.slaves("hello", 3, (2, 1, 1))
    assert [(slave.index, slave.name, slave.slots) for slave in slaves] == [
        (1, "hello-slave1", 2),
        (2, "hello-slave2", 1),
        (3, "hello-slave3", 1),
    ]
    addresses = [ipaddress.IPv4Address(slave.address) for slave in slaves]
    assert addresses == [addresses[0] + step for step in range(3)]


def test_addresses_are_loopback_but_for_the_one_that_means_this_host() -> None:
    assert names.POOL.subnet_of(ipaddress.ip_network("127.0.0.0/8"))
    assert ipaddress.ip_address("127.0.1.1") not in names.POOL


def test_another_run_and_another_home_have_other_addresses() -> None:
    first = {names.slaves("hello", run, (1,))[0].address for run in range(1, 9)}
    assert len(first) == 8
    assert names.slaves("hello", 1, (1,), "/a") != names.slaves("hello", 1, (1,), "/b")


def test_the_same_run_has_the_same_addresses() -> None:
    assert names.slaves("hello", 3, (1, 1), "/a") == names.slaves("hello", 3, (1, 1), "/a")


def test_a_block_is_large_enough_and_stays_in_the_pool() -> None:
    for key in map(str, range(200)):
        first = names.block(key, 1000)
        assert int(first) % (256 * 4) == 0
        assert first in names.POOL
        assert first + 1000 in names.POOL
