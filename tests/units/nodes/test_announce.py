"""The files of an announcer on a node."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from units.nodes import announce
from units.nodes.announce import Announcement, Etcd

SLAVE = Announcement("/services/mpi/heat/slaves/slave1", '{"ip":"10.0.0.7","run":7}', "true\n")
V3 = Etcd("https://10.0.0.1:2379", "v3", "CA", "CERT", "KEY", "nodes", 'pass"word\\')
V2 = replace(V3, api="v2")


def files(announcement: Announcement, etcd: Etcd) -> dict[str, str]:
    return {file.name: file.content for file in announce.folder(announcement, etcd)}


def body(config: str) -> dict[str, str]:
    """What the `data` line of a config says, with curl's escapes taken off, which are JSON's too."""
    (line,) = [line for line in config.splitlines() if line.startswith("data = ")]
    said: dict[str, str] = json.loads(json.loads(line.removeprefix("data = ")))
    return said


@pytest.mark.parametrize("etcd", [V2, V3])
def test_the_same_announcement_gives_the_same_bytes(etcd: Etcd) -> None:
    assert announce.folder(SLAVE, etcd) == announce.folder(SLAVE, etcd)


@pytest.mark.parametrize("etcd", [V2, V3])
def test_every_request_has_an_end_and_asks_no_proxy(etcd: Etcd) -> None:
    options = files(SLAVE, etcd)["curl"].splitlines()
    assert {'max-time = "5"', 'connect-timeout = "3"', 'noproxy = "*"'} <= set(options)


def test_the_whole_config_of_a_v2_node() -> None:
    found = files(SLAVE, V2)
    requests = {"put", "create", "refresh", "remove"}
    assert set(found) == {"api", "pace", "check", "curl", "ca.crt", "node.crt", "node.key"} | requests
    assert found["refresh"] == (
        'url = "https://10.0.0.1:2379/v2/keys/services/mpi/heat/slaves/slave1"\n'
        'request = "PUT"\n'
        'data = "ttl=60"\n'
        'data = "refresh=true"\n'
        'data-urlencode = "prevValue={\\"ip\\":\\"10.0.0.7\\",\\"run\\":7}"\n'
    )
    assert found["pace"] == "20 10 0.2\n"
    assert 'user = "nodes:pass\\"word\\\\"\n' in found["curl"]


def test_a_v3_node_logs_in_and_names_its_lease() -> None:
    found = files(SLAVE, V3)
    assert body(found["login"]) == {"name": "nodes", "password": 'pass"word\\'}
    lease = body(found["keepalive"])["ID"]
    assert 1 <= int(lease) < 2**63
    assert body(found["grant"]) == {"ID": lease, "TTL": "60"}
    assert body(found["revoke"]) == {"ID": lease}
    assert "user = " not in found["curl"]


def test_each_announcement_has_a_password_of_its_own_where_the_receiver_signs_them() -> None:
    signing = replace(V2, sign=lambda key, value: f"{key} {value}")
    assert f'user = "nodes:{SLAVE.key} {{' in files(SLAVE, signing)["curl"]


def test_another_run_or_another_ttl_has_another_lease() -> None:
    lease = body(files(SLAVE, V3)["keepalive"])["ID"]
    for other in (replace(SLAVE, value='{"ip":"10.0.0.7","run":8}'), replace(SLAVE, ttl=SLAVE.ttl + 1)):
        assert body(files(other, V3)["keepalive"])["ID"] != lease


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_an_etcd_without_tls_and_users_needs_none_of_their_files(api: announce.Api) -> None:
    found = files(SLAVE, Etcd("http://10.0.0.1:2379", api))
    assert not {"ca.crt", "node.crt", "node.key", "login"} & set(found)
    assert not [
        line for line in found["curl"].splitlines() if line.startswith(("cacert", "cert", "key", "user"))
    ]


def test_no_secret_shows_in_the_value() -> None:
    assert "pass" not in repr(V3).replace("password", "")
    assert "KEY" not in repr(V3)


def test_a_container_is_alive_while_its_runtime_says_so() -> None:
    check = announce.while_running("podman", "it's_slave1")
    assert check == (
        "[ \"$(podman container inspect --format '{{.State.Status}}' 'it'\"'\"'s_slave1')\" = running ]\n"
    )
