"""What nodes can do to etcd through the proxy: as whoever is root on a node, with all that was sent there."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from support.etcd import ADDRESSES, Proxied, finishes, proxied, proxied3, proxied_home, wait_once

from registry import Keys, RegistryError, StoreSettings, certificates, open_store
from registry.etcd import server as etcd_server
from registry.node_proxy import proxy as node_proxy
from registry.node_proxy.proxy import Door
from registry.node_proxy.requests import USER
from registry.node_proxy.server import CONNECTIONS

__all__ = ["proxied", "proxied3"]

KEY, VALUE = "/h1/services/mpi/heat/slaves/slave1", '{"ip":"10.0.0.7","run":7}'
# A value of a run before that one, and one of the run after it.
OLDER, LATER = VALUE.replace("7}", "6}"), VALUE.replace("7}", "8}")


def quiet(line: str) -> None:
    """Tests do not look at what it says."""


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(params=["proxied", "proxied3"])
def etcd(request: pytest.FixtureRequest) -> Iterator[Proxied]:
    """Whichever API is behind it."""
    made: Proxied = request.getfixturevalue(request.param)
    yield made
    store = open_store(made.receiver)
    for folder in ("/h1", "/h2", "/nap", "/services"):
        store.remove_all(store.list(folder).entries)


def session(etcd: Proxied, key: str = KEY, value: str = VALUE) -> requests.Session:
    """As a node that was told to announce this, with all its files."""
    door, made = etcd.door, requests.Session()
    made.trust_env, made.verify = False, str(door.files.ca)
    made.cert = (str(door.files.cert("node")), str(door.files.key("node")))
    made.auth = (USER, door.password(key, value))
    return made


def put(etcd: Proxied, key: str, value: str, signed_for: tuple[str, str] = (KEY, VALUE)) -> int:
    node = session(etcd, *signed_for)
    return node.put(f"{etcd.door.url}/v2/keys{key}", {"ttl": 60, "value": value}, timeout=20).status_code


def standing(etcd: Proxied, folder: str = "/h1") -> dict[str, str]:
    return dict(open_store(etcd.receiver).list(folder).entries)


def test_a_node_announces_refreshes_and_withdraws_what_it_was_told_to(etcd: Proxied) -> None:
    node, url = session(etcd), f"{etcd.door.url}/v2/keys{KEY}"
    assert node.put(url, {"ttl": 60, "value": VALUE}, timeout=20).ok
    assert standing(etcd) == {KEY: VALUE}
    assert node.put(url, {"ttl": 60, "refresh": "true", "prevValue": VALUE}, timeout=20).ok
    assert node.delete(url, params={"prevValue": VALUE}, timeout=20).ok
    assert standing(etcd) == {}


def test_the_receiver_sees_it_come(etcd: Proxied) -> None:
    store, folder = open_store(etcd.receiver), Keys("h1").slaves("heat")
    index = store.list(folder).index
    woken = finishes(lambda: wait_once(store, folder, index, 60))
    assert put(etcd, KEY, VALUE) == 200
    woken()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/h1/services/mpi/heat/slaves/slave2", VALUE),
        (KEY, VALUE.replace("10.0.0.7", "10.0.0.66")),
        (KEY, LATER),
        ("/h1/services/web/site/web@1", VALUE),
        ("/h2/services/mpi/heat/slaves/slave1", VALUE),
        ("/services/mpi/heat/slaves/slave1", VALUE),
        ("/h1/nap/apps/heat", VALUE),
        ("/nap/nodes/n1", VALUE),
    ],
)
def test_a_node_writes_refreshes_and_removes_nothing_but_its_own(key: str, value: str, etcd: Proxied) -> None:
    store, url, node = open_store(etcd.receiver), f"{etcd.door.url}/v2/keys{key}", session(etcd)
    assert put(etcd, key, value) == 403
    assert standing(etcd, "/") == {}
    store.put(key, value, 60)
    refresh = {"ttl": 1, "refresh": "true", "prevValue": value}
    assert node.put(url, refresh, timeout=20).status_code == 403
    assert node.delete(url, params={"prevValue": value}, timeout=20).status_code == 403
    assert standing(etcd, "/") == {key: value}


def test_what_an_earlier_run_was_given_does_not_go_over_a_later_one(etcd: Proxied) -> None:
    assert put(etcd, KEY, VALUE) == 200
    assert put(etcd, KEY, OLDER, (KEY, OLDER)) == 412
    node = session(etcd, KEY, OLDER)
    node.delete(f"{etcd.door.url}/v2/keys{KEY}", params={"prevValue": OLDER}, timeout=20)
    assert standing(etcd) == {KEY: VALUE}
    assert put(etcd, KEY, LATER, (KEY, LATER)) == 200


NESTED = {"success": [{"request_txn": {"success": [{"request_put": {"key": coded("/nap/x"), "value": ""}}]}}]}
EVERYTHING = {"key": coded("\0"), "range_end": coded("\0")}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("kv/put", {"key": coded(KEY), "value": coded(VALUE)}),
        ("kv/txn", NESTED),
        ("kv/range", EVERYTHING),
        ("kv/deleterange", EVERYTHING),
        ("kv/compaction", {"revision": 1}),
        ("watch", {"create_request": EVERYTHING}),
        ("lease/grant", {"TTL": 60}),
        ("lease/keepalive", {"ID": 1}),
        ("lease/timetolive", {"ID": 1, "keys": True}),
        ("lease/leases", {}),
        ("lease/revoke", {"ID": 1}),
        ("auth/authenticate", {"name": "root", "password": ""}),
        ("auth/disable", {}),
        ("auth/user/add", {"name": "eve", "password": "x"}),
        ("auth/user/grant", {"user": "nodes", "role": "root"}),
        ("auth/role/grant", {"name": "nodes", "perm": {"permType": "READWRITE", **EVERYTHING}}),
        ("cluster/member/list", {}),
        ("cluster/member/add", {"peerURLs": ["https://10.0.0.9:2380"]}),
        ("maintenance/defragment", {}),
        ("maintenance/alarm", {}),
    ],
)
def test_nothing_of_etcds_own_api_is_passed_on(path: str, body: dict[str, object], proxied3: Proxied) -> None:
    store, node = open_store(proxied3.receiver), session(proxied3)
    store.put("/nap/apps/heat", "good")
    index = store.list("/").index
    for method in ("POST", "PUT", "GET", "DELETE"):
        answer = node.request(method, f"{proxied3.door.url}/v3/{path}", json=body, timeout=20)
        assert answer.status_code in (403, 501)
    assert store.list("/").entries == {"/nap/apps/heat": "good"}
    assert store.list("/").index == index
    store.remove("/nap/apps/heat", "good")


@pytest.mark.parametrize(
    "target",
    [
        "/v2/keys/?recursive=true", "/v2/keys/h1/services?recursive=true&wait=true", "/v2/members",
        "/v2/auth/users", "/v2/stats/self", "/metrics", "/health", "/version", "/debug/vars",
    ],
)  # fmt: skip
def test_nothing_is_read(target: str, proxied: Proxied) -> None:
    open_store(proxied.receiver).put("/nap/apps/heat", "good", 60)
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
        answer = session(proxied).request(method, proxied.door.url + target, timeout=20)
        assert answer.status_code in (403, 501)
        assert "good" not in answer.text


def test_a_request_that_is_too_long_or_has_no_length_is_refused(etcd: Proxied) -> None:
    url = f"{etcd.door.url}/v2/keys{KEY}"
    with suppress(requests.ConnectionError):
        assert put(etcd, KEY, "x" * 70_000) == 403
    assert session(etcd).put(url, iter([b"ttl=60&value=x"]), timeout=20).status_code == 403
    for length in ("-1", "1e3", "\xb2", "9" * 5000):
        with connection(etcd) as one:
            one.sendall(f"PUT /v2/keys{KEY} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
            assert b" 403 " in one.recv(1000).splitlines()[0]
    assert standing(etcd) == {}


def test_without_a_certificate_of_this_home_nothing_answers(etcd: Proxied, tmp_path: Path) -> None:
    strangers = certificates.ensure(tmp_path / "tls")
    for cert in (None, (str(strangers.cert("node")), str(strangers.key("node")))):
        stranger = session(etcd)
        stranger.cert = cert
        with pytest.raises(requests.exceptions.ConnectionError):
            stranger.put(f"{etcd.door.url}/v2/keys{KEY}", {"ttl": 60, "value": VALUE}, timeout=20)
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(etcd.door.url.replace("https", "http"), timeout=20).raise_for_status()
    assert standing(etcd) == {}


def connection(etcd: Proxied) -> ssl.SSLSocket:
    """A node's, for what no client would send."""
    door = etcd.door
    context = ssl.create_default_context(cafile=str(door.files.ca))
    context.load_cert_chain(door.files.cert("node"), door.files.key("node"))
    plain = socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])), 20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_who_is_silent_keeps_nobody_waiting(etcd: Proxied) -> None:
    """Before the handshake, and in the middle of a request."""
    address = ("127.0.0.1", int(etcd.door.url.rpartition(":")[2]))
    silent = [socket.create_connection(address, 20) for _ in range(40)]
    with connection(etcd) as slow:
        slow.sendall(b"PUT /v2/keys/h1 HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
        assert put(etcd, KEY, VALUE) == 200
    for one in silent:
        one.close()


def test_a_hundred_at_once_are_all_there(etcd: Proxied) -> None:
    keys = [f"/h1/services/mpi/heat/slaves/slave{index}" for index in range(1, 101)]
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda key=key: codes.append(put(etcd, key, VALUE, (key, VALUE))))
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == [200] * 100
    assert len(keys) < CONNECTIONS
    assert standing(etcd) == dict.fromkeys(keys, VALUE)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    node_proxy.stop(tmp_path)
    etcd_server.stop(tmp_path / "etcd")


def test_etcd_itself_is_not_to_be_reached_from_elsewhere(home: Path) -> None:
    etcd = proxied_home(home)
    own = {etcd_server.pid(etcd.folder): {"127.0.0.1"}, node_proxy.pid(home): {"*"}}
    assert {pid: set(listening(pid)) for pid in own} == own


def listening(pid: int | None) -> dict[str, int]:
    """The ports a process listens on, by address; "*" is all."""
    sockets = {
        link.split("[")[1].rstrip("]")
        for descriptor in Path(f"/proc/{pid}/fd").iterdir()
        if (link := str(descriptor.readlink())).startswith("socket:")
    }
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                host, port = fields[1].split(":")
                address = socket.inet_ntoa(bytes.fromhex(host)[::-1][:4])
                found["*" if not host.strip("0") else address] = int(port, 16)
    return found


def test_port_signatures_and_certificates_stay_over_a_restart(home: Path) -> None:
    etcd = proxied_home(home)
    before, running = etcd.door, node_proxy.pid(home)
    assert node_proxy.start(home, ADDRESSES, quiet) == before
    assert node_proxy.pid(home) == running
    node_proxy.stop(home)
    assert node_proxy.pid(home) is None
    assert node_proxy.start(home, ADDRESSES, quiet) == before
    assert put(etcd, KEY, VALUE) == 200


def test_a_new_address_starts_it_again_with_a_certificate_for_it(home: Path) -> None:
    etcd = proxied_home(home)
    running = node_proxy.pid(home)
    certificates.ensure(etcd.folder / "tls", ["127.0.0.3"])
    door = node_proxy.start(home, ["127.0.0.3"], quiet)
    assert node_proxy.pid(home) != running
    assert door.url == etcd.door.url
    assert put(etcd, KEY, VALUE) == 200


def test_a_port_that_is_taken_is_said(home: Path) -> None:
    etcd = proxied_home(home)
    node_proxy.stop(home)
    port = int(etcd.door.url.rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RegistryError, match=rf"Port {port}, .* is taken") as taken,
    ):
        node_proxy.start(home, ADDRESSES, quiet)
    assert "etcd.nodes.port" in taken.value.hint


def test_it_follows_an_etcd_that_has_moved(home: Path) -> None:
    etcd = proxied_home(home)
    assert put(etcd, KEY, VALUE) == 200
    etcd_server.stop(etcd.folder)
    assert put(etcd, KEY, VALUE) == 503
    with socket.create_server(("127.0.0.1", etcd.receiver.port)):
        moved = etcd_server.start(etcd.folder, quiet)
    assert moved.port != etcd.receiver.port
    StoreSettings(moved, etcd.keys).save(home / "etcd.json")
    assert put(etcd, KEY, VALUE) == 200
    assert standing(replace(etcd, receiver=moved)) == {KEY: VALUE}


def test_its_secrets_are_for_their_owner_only_and_seen_nowhere(home: Path) -> None:
    door = proxied_home(home).door
    assert stat.S_IMODE((home / "node-proxy.json").stat().st_mode) == 0o600
    pid = node_proxy.pid(home)
    for shown in (Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/environ"), home / node_proxy.LOG):
        assert door.secret.value.encode() not in shown.read_bytes()
    assert door.secret.value not in repr(door)
    assert len(json.loads((home / "node-proxy.json").read_bytes())["secret"]) == 64


def test_a_door_is_known_also_while_it_is_shut(home: Path) -> None:
    assert node_proxy.known(home) is None
    door = proxied_home(home).door
    node_proxy.stop(home)
    assert isinstance(node_proxy.known(home), Door)
    assert node_proxy.known(home) == door
