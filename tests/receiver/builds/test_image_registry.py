"""A home's registry of images: what settings may say, and the files that its login becomes."""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers.image_registry import LabRegistry

from receiver.builds import image_registry
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import RegistrySettings
from registry.errors import RegistryError
from registry.etcd.endpoint import Secret

NONE = RegistrySettings("", "", "", "", "", False, 0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.log.mkdir(parents=True)
    return made


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text("hidden\n")
    return str(tmp_path / "secret")


def quiet(line: str) -> None:
    """Tests do not look at what it says."""


def test_a_password_and_a_user_are_a_login(secret: str) -> None:
    named = replace(NONE, url="lab.example/team", user="ada", password_file=secret)
    registry = image_registry.configured(named)
    assert (registry.host, registry.path, registry.user) == ("lab.example", "team", "ada")
    assert registry.password == Secret("hidden")


def test_a_token_is_a_password_of_whoever(secret: str) -> None:
    named = replace(NONE, url="ghcr.io/owner", token_file=secret)
    assert image_registry.configured(named).user == "token"
    assert image_registry.configured(replace(named, user="ada")).user == "ada"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"user": "ada"}, "lacks registry.password_file"),
        ({"password_file": "SECRET"}, "lacks registry.user"),
        ({"user": "ada", "password_file": "SECRET", "token_file": "SECRET"}, "are both given"),
        ({"user": "ada:x", "password_file": "SECRET"}, "with a colon in it"),
        ({"user": "ada", "password_file": "/nowhere/secret"}, "registry.password_file names /nowhere/secret"),
        ({"token_file": "/dev/null"}, "which is empty"),
        ({"ca": "/nowhere/ca.crt"}, "registry.ca is '/nowhere/ca.crt', where there is no file"),
    ],
)
def test_half_a_login_is_refused(secret: str, changes: dict[str, str], sentence: str) -> None:
    filled = {key: secret if value == "SECRET" else value for key, value in changes.items()}
    with pytest.raises(ReceiverError) as refusal:
        image_registry.configured(replace(NONE, url="lab.example", **filled))
    assert sentence in refusal.value.message
    assert "hidden" not in refusal.value.message


def test_a_home_that_was_never_up_with_containers_has_no_registry(home: Home) -> None:
    with pytest.raises(ReceiverError, match="no registry of images yet") as refusal:
        image_registry.of(home, NONE)
    assert refusal.value.hint == "nap up --engine containers"


def test_nap_starts_one_where_none_is_named_and_writes_its_login(home: Home) -> None:
    registry = image_registry.have(home, NONE, quiet)
    try:
        assert image_registry.of(home, NONE) == registry
        file = home.logins / "config.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(home.logins.stat().st_mode) == 0o700
        pair = json.loads(file.read_text())["auths"][registry.host]["auth"]
        assert b64decode(pair).decode() == f"nap:{registry.password.value}"
        before = file.stat()
        assert image_registry.have(home, NONE, quiet) == registry
        assert file.stat() == before  # The receiver restarts when it changes.
    finally:
        image_registry.stop(home, quiet)


def test_one_that_is_named_is_used_and_none_is_started(home: Home, tmp_path: Path) -> None:
    lab = LabRegistry(tmp_path / "lab", tls=True)
    lab.start()
    try:
        named = replace(NONE, url=f"127.0.0.1:{lab.port}", ca=str(lab.ca))
        registry = image_registry.have(home, named, quiet)
        assert not home.image_registry.exists()
        assert json.loads((home.logins / "config.json").read_text()) == {"auths": {}}
        flags = image_registry.flags(home.logins, registry)
        assert flags == ("--cert-dir", str(home.logins / "certs"))
        assert (home.logins / "certs" / "ca.crt").read_bytes() == lab.ca.read_bytes()
    finally:
        lab.stop()


def test_one_that_is_away_is_refused_and_leaves_no_login(home: Home, tmp_path: Path) -> None:
    away = LabRegistry(tmp_path / "lab")
    with pytest.raises(RegistryError, match="cannot be reached"):
        image_registry.have(home, replace(NONE, url=f"127.0.0.1:{away.port}"), quiet)
    assert not home.logins.exists()


def test_a_login_to_docker_hub_is_found_by_both_clients(home: Home, secret: str) -> None:
    named = replace(NONE, url="docker.io/ada", user="ada", token_file=secret)
    home.root.mkdir(exist_ok=True)
    image_registry.write_logins(home.logins, image_registry.configured(named))
    auths = json.loads((home.logins / "config.json").read_text())["auths"]
    assert set(auths) == {"docker.io", "https://index.docker.io/v1/"}
