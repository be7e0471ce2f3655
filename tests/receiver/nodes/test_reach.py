"""Who nodes are to an etcd that is not nap's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.home import settings
from receiver.home.paths import Home
from receiver.nodes import reach
from registry import certificates
from registry.etcd.endpoint import Endpoint, Secret, StoreSettings
from registry.images.program import Kept
from registry.keys import Keys

OURS = Endpoint("https://etcd.lab:2379", api="v3", user="receiver", password=Secret("ours"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    StoreSettings(OURS, Keys()).save(made.etcd_settings)
    return made


def as_settings_say(home: Home, text: str) -> tuple[str, str, str, str]:
    home.settings.write_text(f"etcd: {{url: '{OURS.url}', {text}}}\n")
    seen = reach.etcd(home, settings.load(home.settings).etcd)
    return seen.user, seen.password, seen.cert, seen.key


def test_nodes_are_who_the_receiver_is_unless_settings_name_another_user(home: Home, tmp_path: Path) -> None:
    for name in ("theirs", "cert", "key"):
        (tmp_path / name).write_text(f"{name}\n")
    assert as_settings_say(home, "") == ("receiver", "ours", "", "")
    nodes = f"nodes: {{user: nodes, password_file: {tmp_path}/theirs}}"
    assert as_settings_say(home, nodes) == ("nodes", "theirs", "", "")
    nodes = f"nodes: {{cert: {tmp_path}/cert, key: {tmp_path}/key}}"
    assert as_settings_say(home, nodes) == ("receiver", "ours", "cert\n", "key\n")


def test_nodes_are_never_who_the_receiver_is_in_an_etcd_of_naps_own(home: Home) -> None:
    with pytest.raises(ReceiverError, match="nodes cannot announce anything yet"):
        reach.etcd(home, settings.load(home.settings).etcd)
    certificates.ensure(home.etcd / "tls")
    Kept(2379, "", "secret", ("10.0.0.1",)).save(home.root / "node-proxy.json")
    seen = reach.etcd(home, settings.load(home.settings).etcd)
    assert (seen.url, seen.api, seen.user, seen.password) == ("https://10.0.0.1:2379", "v2", "announcer", "")
    assert seen.key == (home.etcd / "tls" / "node.key").read_text()
    assert seen.sign
    assert seen.sign("/services/a", "1") != seen.sign("/services/b", "1") != seen.sign("/services/b", "2")


def test_a_password_that_is_not_there_is_told_by_its_key(home: Home) -> None:
    with pytest.raises(ReceiverError, match=r"etcd\.nodes\.password_file names /nowhere, which cannot be"):
        as_settings_say(home, "nodes: {user: nodes, password_file: /nowhere}")
