"""An etcd that others reach: what the receiver may, what nodes may, what nobody else may."""

from __future__ import annotations

import base64
import json
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from etcd_fixtures import ADDRESSES, Guarded, finishes, guarded, wait_once

from registry import Endpoint, Keys, RegistryError, Secret, certificates, etcd_server, open_store
from registry.etcd3 import Etcd3Store, folder_range
from registry.node_access import NodeAccess

__all__ = ["guarded"]

MINE, OTHERS = "/h1/services/mpi/heat/slaves/slave1", "/h2/services/mpi/heat/slaves/slave1"


def quiet(line: str) -> None:
    """Tests do not look at what it says."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "etcd"
    etcd_server.stop(tmp_path / "etcd")


def ask(endpoint: Endpoint, path: str, body: dict[str, object]) -> dict[str, object]:
    return Etcd3Store(endpoint, 5).ask(path, body)


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_nodes_write_refresh_list_and_remove_what_they_announce(guarded: Guarded) -> None:
    store = open_store(guarded.nodes)
    store.put(MINE, "here", 60)
    store.refresh(MINE, "here", 60)
    assert store.list(guarded.keys.announced).entries == {MINE: "here"}
    store.remove(MINE, "here")
    assert store.list(guarded.keys.announced).entries == {}


def put(store: Etcd3Store, key: str) -> None:
    store.put(key, "bad")


def delete(store: Etcd3Store, key: str) -> None:
    store.ask("/kv/deleterange", {"key": coded(key)})


def read(store: Etcd3Store, key: str) -> None:
    store.list(str(Path(key).parent))


def compare(store: Etcd3Store, key: str) -> None:
    store.ask("/kv/txn", {"compare": [{"key": coded(key), "target": "CREATE", "create_revision": 0}]})


def hang_on(store: Etcd3Store, key: str) -> None:
    lease = store.ask("/lease/grant", {"TTL": 60})["ID"]
    store.ask("/kv/put", {"key": coded(key), "value": coded("bad"), "lease": lease})


def let_go(store: Etcd3Store, key: str) -> None:
    """Revoke each lease there is: the key of another would go with its own."""
    for lease in store.ask("/lease/leases", {}).get("leases", ()):
        store.ask("/lease/revoke", lease)


@pytest.mark.parametrize("attempt", [put, delete, read, compare, hang_on, let_go])
@pytest.mark.parametrize(
    "key", ["/h1/nap/apps/heat", "/nap/nodes/n1", OTHERS, "/services/mpi/heat/slave1", "/h1/servicesx/a"]
)
def test_nodes_cannot(attempt: Callable[[Etcd3Store, str], None], key: str, guarded: Guarded) -> None:
    receiver = open_store(guarded.receiver)
    receiver.put(key, "good", 60)
    with pytest.raises(RegistryError, match="permission denied"):
        attempt(Etcd3Store(guarded.nodes, 5), key)
    folder = str(Path(key).parent)
    assert receiver.list(folder).entries == {key: "good"}
    receiver.remove(key, "good")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/disable", {}),
        ("/auth/user/add", {"name": "eve", "password": "x"}),
        ("/auth/user/changepw", {"name": "root", "password": "x"}),
        ("/auth/user/grant", {"user": "nodes", "role": "root"}),
        ("/auth/role/grant", {"name": "nodes", "perm": {"permType": "READWRITE", **folder_range("/")}}),
        ("/cluster/member/add", {"peerURLs": ["https://10.0.0.9:2380"]}),
        ("/maintenance/defragment", {}),
    ],
)
def test_nodes_administer_nothing(path: str, body: dict[str, object], guarded: Guarded) -> None:
    with pytest.raises(RegistryError, match="permission denied"):
        ask(guarded.nodes, path, body)


@pytest.mark.parametrize("whose", ["receiver", "nodes"])
@pytest.mark.parametrize("attempt", [put, delete, read, hang_on])
def test_a_certificate_without_a_password_opens_no_key(
    attempt: Callable[[Etcd3Store, str], None], whose: str, guarded: Guarded
) -> None:
    endpoint: Endpoint = getattr(guarded, whose)
    for stranger in (
        replace(endpoint, user="", password=Secret()),
        replace(endpoint, password=Secret("guessed")),
    ):
        with pytest.raises(RegistryError, match=r"user name is empty|authentication failed"):
            attempt(Etcd3Store(stranger, 5), MINE)


@pytest.mark.parametrize("path", ["/v2/keys/", "/v3/lease/grant", "/metrics", "/health", "/version"])
def test_without_a_certificate_nothing_answers(path: str, guarded: Guarded) -> None:
    for password in ("", guarded.receiver.password.value):
        session = requests.Session()
        session.trust_env = False
        session.verify, session.auth = guarded.receiver.ca, ("root", password)
        with pytest.raises(requests.exceptions.ConnectionError):
            session.post(guarded.nodes.url + path, json={"TTL": 60}, timeout=5)
        with pytest.raises(requests.exceptions.RequestException):
            session.get(guarded.nodes.url.replace("https", "http") + path, timeout=5).raise_for_status()


def test_another_cas_certificate_is_refused(guarded: Guarded, tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path / "tls")
    stranger = replace(guarded.receiver, cert=str(files.cert("client")), key=str(files.key("client")))
    with pytest.raises(RegistryError):
        open_store(stranger).ping()


def test_the_v2_store_is_not_there(guarded: Guarded) -> None:
    for endpoint in (guarded.receiver, guarded.nodes):
        with pytest.raises(RegistryError):
            open_store(replace(endpoint, api="v2")).ping()
        with pytest.raises(RegistryError):
            open_store(replace(endpoint, api="v2")).put(MINE, "here")


def test_the_receiver_does_everything_anywhere(guarded: Guarded) -> None:
    store = open_store(guarded.receiver)
    for key in (MINE, OTHERS, "/nap/apps/heat"):
        store.put(key, "here", 60)
        store.refresh(key, "here", 60)
        assert store.list(str(Path(key).parent)).entries == {key: "here"}
        store.remove(key, "here")
    assert ask(guarded.receiver, "/auth/status", {})["enabled"] is True
    ask(guarded.receiver, "/maintenance/defragment", {})


def test_the_receiver_sees_a_nodes_key_come(guarded: Guarded) -> None:
    store = open_store(guarded.receiver)
    folder = guarded.keys.slaves("heat")
    index = store.list(folder).index
    woken = finishes(lambda: wait_once(store, folder, index, 60))
    open_store(guarded.nodes).put(MINE, "here", 60)
    woken()
    store.remove(MINE, "here")


def test_it_is_reached_by_each_of_its_addresses(guarded: Guarded) -> None:
    assert guarded.nodes.host == ADDRESSES[0]
    assert guarded.receiver.host == "127.0.0.1"
    for address in ADDRESSES:
        url = f"https://{address}:{guarded.nodes.port}"
        open_store(replace(guarded.receiver, url=url)).ping()
    unnamed = replace(guarded.receiver, url=f"https://127.0.0.3:{guarded.nodes.port}")
    with pytest.raises(RegistryError, match=r"127\.0\.0\.3"):
        open_store(unnamed).ping()


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


def test_its_peer_port_is_closed_to_others(guarded: Guarded) -> None:
    ports = listening(etcd_server.pid(guarded.folder))
    assert set(ports) == {"*", "127.0.0.1"}
    assert ports["*"] == guarded.nodes.port
    session = requests.Session()
    session.trust_env, session.verify = False, guarded.receiver.ca
    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(f"https://127.0.0.1:{ports['127.0.0.1']}/members", timeout=5)


def test_no_secret_is_in_its_argv_environment_or_log(guarded: Guarded) -> None:
    pid = etcd_server.pid(guarded.folder)
    for secret in (guarded.receiver.password, guarded.nodes.password):
        assert len(secret.value) >= 32
        for shown in (
            Path(f"/proc/{pid}/cmdline"),
            Path(f"/proc/{pid}/environ"),
            guarded.folder / "etcd.log",
        ):
            assert secret.value.encode() not in shown.read_bytes()


def test_its_secrets_are_in_files_for_their_owner_only(guarded: Guarded) -> None:
    assert stat.S_IMODE(guarded.folder.stat().st_mode) == 0o700
    for secret in (*guarded.folder.glob("*.json"), *guarded.folder.glob("tls/*")):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret


def test_a_second_start_finds_the_first_and_the_same_users(guarded: Guarded) -> None:
    running = etcd_server.pid(guarded.folder)
    assert etcd_server.start(guarded.folder, quiet, addresses=ADDRESSES) == guarded.receiver
    assert etcd_server.nodes(guarded.folder, guarded.keys) == guarded.nodes
    assert etcd_server.pid(guarded.folder) == running


def test_users_certificates_and_port_are_the_same_after_a_restart(folder: Path) -> None:
    receiver = etcd_server.start(folder, quiet, addresses=ADDRESSES)
    nodes = etcd_server.nodes(folder, Keys())
    certificate = Path(nodes.cert).read_bytes()
    etcd_server.stop(folder)
    assert etcd_server.start(folder, quiet, addresses=ADDRESSES) == receiver
    assert etcd_server.nodes(folder, Keys()) == nodes
    assert Path(nodes.cert).read_bytes() == certificate
    open_store(nodes).put(Keys().slave("heat", 1), "here", 60)


def test_the_port_that_nodes_know_does_not_move(folder: Path) -> None:
    port = etcd_server.start(folder, quiet, addresses=ADDRESSES).port
    etcd_server.stop(folder)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RegistryError, match=rf"Port {port} .* taken"),
    ):
        etcd_server.start(folder, quiet, addresses=ADDRESSES)


def test_an_etcd_of_loopback_becomes_one_for_nodes_and_back(folder: Path) -> None:
    """What was there in v3 stays; nodes' files stay good over new addresses."""
    for api in ("v2", "v3"):
        open_store(replace(etcd_server.start(folder, quiet), api=api)).put("/nap/apps/heat", api)
    etcd_server.start(folder, quiet, addresses=["127.0.0.2"])
    nodes = etcd_server.nodes(folder, Keys())
    receiver = etcd_server.start(folder, quiet, addresses=["127.0.0.3", "127.0.0.2"])
    assert open_store(receiver).list("/nap/apps").entries == {"/nap/apps/heat": "v3"}
    open_store(nodes).put(Keys().slave("heat", 1), "here", 60)
    assert etcd_server.nodes(folder, Keys()).host == "127.0.0.3"
    alone = etcd_server.start(folder, quiet)
    assert set(listening(etcd_server.pid(folder))) == {"127.0.0.1"}
    for api in ("v2", "v3"):
        assert open_store(replace(alone, api=api)).list("/nap/apps").entries == {"/nap/apps/heat": api}


def test_users_that_were_half_made_are_made_whole(folder: Path) -> None:
    etcd_server.start(folder, quiet, addresses=ADDRESSES)
    etcd_server.nodes(folder, Keys())
    receiver = etcd_server.start(folder, quiet, addresses=ADDRESSES)
    ask(receiver, "/auth/user/revoke", {"name": "nodes", "role": "nodes"})
    ask(receiver, "/auth/disable", {})
    ask(replace(receiver, user=""), "/auth/user/changepw", {"name": "root", "password": "half"})
    etcd_server.start(folder, quiet, addresses=ADDRESSES)
    nodes = etcd_server.nodes(folder, Keys())
    open_store(nodes).put(Keys().slave("heat", 1), "here", 60)
    with pytest.raises(RegistryError):
        open_store(replace(nodes, user="")).put(Keys().slave("heat", 1), "here")


def test_a_password_that_was_lost_is_said(folder: Path) -> None:
    etcd_server.start(folder, quiet, addresses=ADDRESSES)
    etcd_server.stop(folder)
    (folder / etcd_server.ENDPOINT).unlink()
    with pytest.raises(
        RegistryError, match=r"does not take the receiver's password: .*user name is empty"
    ) as lost:
        etcd_server.start(folder, quiet, addresses=ADDRESSES)
    assert "`data`" in lost.value.hint


@pytest.mark.parametrize("address", ["", "10.0.0.1:2379", "https://receiver", "a b", "ü.org"])
def test_an_address_that_is_none_is_refused(address: str, folder: Path) -> None:
    with pytest.raises(RegistryError, match="is not an address"):
        etcd_server.start(folder, quiet, addresses=[address])


def test_what_a_node_gets_are_texts_that_work_without_our_files(guarded: Guarded, tmp_path: Path) -> None:
    access = NodeAccess.of(guarded.nodes)
    assert (access.url, access.api, access.user) == (guarded.nodes.url, "v3", "nodes")
    assert access.password == guarded.nodes.password
    assert access.key.value not in repr(access)
    texts = {"ca": access.ca, "cert": access.cert, "key": access.key.value}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = {name: str(tmp_path / name) for name in texts}
    elsewhere = Endpoint(access.url, access.api, user=access.user, password=access.password, **paths)
    open_store(elsewhere).put(MINE, "here", 60)
    assert json.dumps(sorted(open_store(elsewhere).list(guarded.keys.announced).entries)) == f'["{MINE}"]'
    open_store(elsewhere).remove(MINE, "here")


def test_an_admins_etcd_needs_no_files_for_nodes() -> None:
    access = NodeAccess.of(Endpoint("http://etcd:2379/", "v2", user="n", password=Secret("p")))
    assert access == NodeAccess("http://etcd:2379", "v2", user="n", password=Secret("p"))


def test_a_file_for_nodes_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"missing\.pem, meant for nodes"):
        NodeAccess.of(Endpoint("https://etcd:2379", ca=str(tmp_path / "missing.pem")))
