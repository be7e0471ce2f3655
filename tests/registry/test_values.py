"""The values of the registry and what they refuse."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from registry import Endpoint, Keys, Member, RegistryError, Secret, StoreSettings, Timing


def test_the_default_homes_keys_have_no_prefix() -> None:
    keys = Keys()
    assert keys.slave("heat", 2) == "/services/mpi/heat/slaves/slave2"
    assert keys.service("web", "site", "web_site.v7@1") == "/services/web/site/web_site.v7@1"
    assert keys.app("heat") == "/nap/apps/heat"
    assert keys.run("heat", 4) == "/nap/runs/heat/4"
    assert keys.node("n1") == "/nap/nodes/n1"


def test_another_homes_keys_begin_with_its_id() -> None:
    assert Keys("a1b2").slave("heat", 2) == "/a1b2/services/mpi/heat/slaves/slave2"
    assert Keys("a1b2").node("n1") == "/a1b2/nap/nodes/n1"


def test_the_value_of_a_member_is_what_the_design_says() -> None:
    member = Member("slave1", "127.64.0.1", 22, 2, "here", 3, 4)
    text = '{"ip":"127.64.0.1","port":22,"slots":2,"node":"here","release":3,"run":4}'
    assert member.to_json() == text
    assert Member.from_json("slave1", text) == member


WHOLE = '{"ip":"10.0.0.7","port":22,"slots":2,"node":"n","release":3,"run":4}'


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "3", "null", '{"ip": "x", "port": "y"}', "[" * 100_000,
        WHOLE.replace("22", "Infinity"), WHOLE.replace("22", "9" * 5000), WHOLE.replace('"n"', "7"),
        WHOLE.replace("10.0.0.7", "\\u001b[2J"), WHOLE.replace("10.0.0.7", "a\\nb"),
    ],
)  # fmt: skip
def test_what_is_no_member_is_refused(text: str) -> None:
    with pytest.raises(RegistryError, match="not a member"):
        Member.from_json("slave1", text)


def test_the_timing_law_holds() -> None:
    assert Timing(ttl=60, refresh=20, retry=20).ttl == 60
    with pytest.raises(RegistryError, match="more than ttl 60"):
        Timing(ttl=60, refresh=21, retry=20)


@pytest.mark.parametrize("timing", [(0, 1, 1), (60, 0, 1), (60, 1, -1)])
def test_a_timing_is_above_zero(timing: tuple[int, float, float]) -> None:
    with pytest.raises(RegistryError, match="above zero"):
        Timing(*timing)


def test_a_secret_shows_in_no_print() -> None:
    endpoint = Endpoint("http://etcd:2379", user="nap", password=Secret("hunter2"))
    assert "hunter2" not in f"{endpoint} {endpoint!r} {endpoint.password} {endpoint.password!r}"
    assert endpoint.password.value == "hunter2"


def test_settings_come_back_from_a_file_for_their_owner_only(tmp_path: Path) -> None:
    endpoint = Endpoint("https://e:1", "v3", "/ca", "/cert", "/key", "nap", Secret("hunter2"))
    settings = StoreSettings(endpoint, Keys("a1b2"), Timing(30, 5, 2.5))
    path = tmp_path / "etcd.json"
    path.write_text("old")
    path.chmod(0o644)
    settings.save(path)
    assert StoreSettings.load(path) == settings
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"endpoint": {"url": "http://e", "colour": "red"}}', '{"endpoint": 3}']
)
def test_settings_that_cannot_be_read_are_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "etcd.json"
    path.write_text(text)
    with pytest.raises(RegistryError, match="cannot be read"):
        StoreSettings.load(path)


@pytest.mark.parametrize("url", ["", "etcd:2379", "ftp://e:1", "http://"])
def test_an_address_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(RegistryError, match="is not a URL"):
        Endpoint(url)


def test_an_api_is_v2_or_v3() -> None:
    with pytest.raises(RegistryError, match="no API"):
        Endpoint("http://e:1", api="v4")  # type: ignore[arg-type]


def test_an_address_without_a_port_is_etcds_own() -> None:
    assert Endpoint("http://etcd").port == 2379
    assert Endpoint("https://etcd:4001").port == 4001


def test_the_package_imports_no_etcd_client() -> None:
    slow = "{'etcd', 'etcd3gw', 'requests', 'urllib3', 'cryptography', 'subprocess'}"
    code = f"import sys, registry; print(sorted({slow} & set(sys.modules)))"
    here = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
