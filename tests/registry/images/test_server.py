"""nap's own registry of images: started once, guarded, said plainly when it cannot be."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.containers.image_registry import put_image

from registry import RegistryError
from registry.images import server as image_server
from registry.images.address import ImageRegistry
from registry.images.client import RegistryClient


@dataclass
class Place:
    """Where a test's registry has its files."""

    folder: Path
    log: Path

    def start(self, port: int = 0) -> ImageRegistry:
        return image_server.start(self.folder, self.log, lambda line: None, port)

    def stop(self) -> None:
        image_server.stop(self.folder, self.log)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "registry", tmp_path / "registry.log")
    yield made
    made.stop()


def test_it_answers_when_start_returns(place: Place) -> None:
    RegistryClient(place.start()).ping()


def test_a_second_start_finds_the_first(place: Place) -> None:
    registry = place.start()
    running = image_server.pid(place.folder)
    assert running
    assert place.start() == registry
    assert image_server.pid(place.folder) == running


def test_an_image_is_there_under_the_same_name_after_a_restart(place: Place) -> None:
    registry = place.start()
    digest = put_image(registry, "hello_image", "v1")
    place.stop()
    assert image_server.known(place.folder) == registry
    assert place.start() == registry
    assert RegistryClient(registry).digest("hello_image", "v1") == digest


def test_nothing_is_left_of_it_after_a_stop(place: Place) -> None:
    registry = place.start()
    place.stop()
    assert image_server.pid(place.folder) is None
    with pytest.raises(RegistryError, match="cannot be reached: Connection refused") as refusal:
        RegistryClient(registry).ping()
    assert refusal.value.retry


def test_a_stop_of_what_never_ran_does_nothing(tmp_path: Path) -> None:
    image_server.stop(tmp_path / "nowhere", tmp_path / "log")
    assert image_server.pid(tmp_path / "nowhere") is None
    assert image_server.known(tmp_path / "nowhere") is None


def test_the_port_of_last_time_is_kept_when_it_is_taken(place: Place) -> None:
    registry = place.start()
    place.stop()
    port = int(registry.host.rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RegistryError, match=rf"Port {port} .* is taken") as refusal,
    ):
        place.start()
    assert "registry.port" in refusal.value.hint
    assert place.start() == registry


def test_the_port_is_none_that_the_kernel_hands_out(place: Place) -> None:
    port = int(place.start().host.rpartition(":")[2])
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert port < max(first, 32768)


def test_nobody_gets_in_without_the_password(place: Place) -> None:
    registry = place.start()
    with pytest.raises(RegistryError, match="asks for a login"):
        RegistryClient(ImageRegistry(registry.host, insecure=True)).ping()


def test_its_secrets_are_for_their_owner_only(place: Place) -> None:
    password = place.start().password.value
    for name in ("registry.json", "config.yml", "htpasswd"):
        assert stat.S_IMODE((place.folder / name).stat().st_mode) == 0o600
    running = image_server.pid(place.folder)
    for shown in ("cmdline", "environ"):
        assert password.encode() not in Path(f"/proc/{running}/{shown}").read_bytes()
    assert password not in place.log.read_text()


def test_it_listens_on_this_machine_alone(place: Place) -> None:
    registry = place.start()
    port = int(registry.host.rpartition(":")[2])
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_settings_of_another_registry_in_the_environment_do_not_reach_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "0.0.0.0:1")
    monkeypatch.setenv("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/nowhere")
    RegistryClient(place.start()).ping()


def test_what_was_deleted_takes_no_room_after_the_next_start(place: Place) -> None:
    registry = place.start()
    kept = put_image(registry, "hello_image", "v2")
    room = image_server.stored(place.folder)
    RegistryClient(registry).delete("hello_image", put_image(registry, "hello_image", "v1"))
    assert image_server.stored(place.folder) > room
    place.stop()
    place.start()
    assert image_server.stored(place.folder) == room
    assert RegistryClient(registry).has("hello_image", kept)


def test_a_machine_without_one_is_told_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    with pytest.raises(RegistryError, match="no registry of images") as refusal:
        place.start()
    assert "apt-get install docker-registry" in refusal.value.hint
    assert "registry.url" in refusal.value.hint


def test_one_that_does_not_come_up_is_shown_with_its_last_words(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_server, "configuration", lambda folder, kept: {})
    with pytest.raises(RegistryError, match="the registry of images ended with 1") as refusal:
        place.start()
    assert str(place.log) in refusal.value.hint
    assert image_server.pid(place.folder) is None
