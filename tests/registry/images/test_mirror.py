"""nap's own registry as nodes see it: all is read, nothing is written, by nobody without the password."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from support.containers.image_registry import put_image, with_password

from registry import RegistryError, Secret, certificates
from registry.images import mirror as image_mirror
from registry.images import server as image_server
from registry.images.address import ImageRegistry
from registry.images.client import RegistryClient
from registry.node_proxy.access import NodePull

# What nodes call this machine by: an address that is not the receiver's, and a name.
ADDRESSES = ("127.0.0.2", "localhost")


@dataclass
class Place:
    """The registry of a test, and the process that nodes reach."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "registry"

    @property
    def log(self) -> Path:
        return self.root / "nodes.log"

    def start(self, *addresses: str) -> ImageRegistry:
        files = certificates.ensure(self.root / "tls", addresses or ADDRESSES)
        return image_mirror.start(self.folder, self.log, files, addresses or ADDRESSES, lambda line: None)

    def stop(self) -> None:
        image_mirror.stop(self.folder, self.log)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.folder.mkdir()
    yield made
    made.stop()


@pytest.fixture
def ours(place: Place) -> Iterator[ImageRegistry]:
    """The receiver's own way in, over loopback."""
    log = place.root / "registry.log"
    yield image_server.start(place.folder, log, lambda line: None)
    image_server.stop(place.folder, log)


def test_what_the_receiver_pushes_nodes_read_at_once(place: Place, ours: ImageRegistry) -> None:
    theirs = place.start()
    assert not RegistryClient(theirs).has("hello_image", "v1")
    digest = put_image(ours, "hello_image", "v1")
    assert RegistryClient(theirs).digest("hello_image", "v1") == digest
    RegistryClient(ours).delete("hello_image", digest)
    assert not RegistryClient(theirs).has("hello_image", digest)


def test_it_is_reached_by_each_of_its_addresses_and_no_other_name(place: Place) -> None:
    theirs = place.start()
    port = theirs.host.rpartition(":")[2]
    assert theirs.host == f"127.0.0.2:{port}"
    for address in ADDRESSES:
        RegistryClient(replace(theirs, host=f"{address}:{port}")).ping()
    with pytest.raises(RegistryError):
        RegistryClient(replace(theirs, host=f"127.0.0.3:{port}")).ping()


def test_nodes_write_and_remove_nothing(place: Place, ours: ImageRegistry) -> None:
    theirs = place.start()
    digest = put_image(ours, "hello_image", "v1")
    with pytest.raises(RegistryError):
        RegistryClient(theirs).delete("hello_image", digest)
    session = requests.Session()
    session.trust_env, session.verify = False, theirs.ca
    session.auth = (theirs.user, theirs.password.value)
    base = f"https://{theirs.host}/v2/hello_image"
    assert session.get(f"{base}/tags/list", timeout=10).json()["tags"] == ["v1"]
    for answer in (
        session.post(f"{base}/blobs/uploads/", timeout=10),
        session.put(f"{base}/manifests/v1", data=b"{}", timeout=10),
        session.delete(f"{base}/manifests/{digest}", timeout=10),
        session.delete(f"{base}/blobs/{digest}", timeout=10),
    ):
        assert answer.status_code == 405
    assert RegistryClient(ours).digest("hello_image", "v1") == digest


def test_nobody_gets_in_without_the_password_nor_by_the_receivers(place: Place, ours: ImageRegistry) -> None:
    theirs = place.start()
    with pytest.raises(RegistryError, match="asks for a login"):
        RegistryClient(replace(theirs, user="", password=Secret())).ping()
    with pytest.raises(RegistryError, match="refuses the login"):
        RegistryClient(with_password(theirs, ours.password.value)).ping()
    with pytest.raises(RegistryError, match="refuses the login"):
        RegistryClient(replace(ours, user=theirs.user, password=theirs.password)).ping()


def test_without_tls_nothing_is_said(place: Place) -> None:
    theirs = place.start()
    answer = requests.get(f"http://{theirs.host}/v2/", timeout=10)
    assert answer.status_code == 400


def test_the_receivers_own_stays_on_this_machine_alone(place: Place, ours: ImageRegistry) -> None:
    place.start()
    port = int(ours.host.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 5)


def test_a_second_start_finds_the_first_and_other_addresses_start_it_again(place: Place) -> None:
    theirs = place.start()
    running = image_mirror.pid(place.folder)
    assert running
    assert place.start() == theirs
    assert image_mirror.pid(place.folder) == running
    moved = place.start("127.0.0.3")
    assert moved == replace(theirs, host=theirs.host.replace("127.0.0.2", "127.0.0.3"))
    RegistryClient(moved).ping()


def test_port_and_password_are_those_of_last_time(place: Place) -> None:
    theirs = place.start()
    place.stop()
    assert image_mirror.pid(place.folder) is None
    files = certificates.Certificates(place.root / "tls")
    assert image_mirror.known(place.folder, files) == theirs == place.start()


def test_a_taken_port_is_refused(place: Place) -> None:
    port = int(place.start().host.rpartition(":")[2])
    place.stop()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RegistryError, match=rf"Port {port}, .* taken"),
    ):
        place.start()


def test_its_secrets_are_for_their_owner_only(place: Place) -> None:
    password = place.start().password.value
    for name in ("nodes.json", "nodes.yml", "nodes.htpasswd"):
        assert stat.S_IMODE((place.folder / name).stat().st_mode) == 0o600
    running = image_mirror.pid(place.folder)
    for shown in ("cmdline", "environ"):
        assert password.encode() not in Path(f"/proc/{running}/{shown}").read_bytes()
    assert password not in place.log.read_text()


def test_what_a_node_gets_to_pull_with_is_whole(place: Place, ours: ImageRegistry) -> None:
    theirs = place.start()
    pull = NodePull.of(theirs)
    assert (pull.name, pull.host, pull.insecure) == (theirs.host, theirs.host, False)
    assert pull.ca == Path(theirs.ca).read_text()
    assert list(json.loads(pull.logins.value)["auths"]) == [theirs.host]
    assert theirs.password.value not in repr(pull)
    digest = f"sha256:{'0' * 64}"
    reference = ours.reference("hello_image", digest)
    assert pull.called(reference, ours) == theirs.reference("hello_image", digest)
    assert pull.called("docker.io/library/debian:12", ours) == "docker.io/library/debian:12"


def test_a_registry_of_others_is_called_the_same_by_nodes(tmp_path: Path) -> None:
    theirs = ImageRegistry("ghcr.io", "owner")
    reference = theirs.reference("hello_image", f"sha256:{'0' * 64}")
    pull = NodePull.of(theirs)
    assert pull == NodePull("ghcr.io/owner")
    assert pull.host == "ghcr.io"
    assert pull.called(reference, theirs) == reference
