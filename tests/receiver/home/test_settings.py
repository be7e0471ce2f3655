"""The home's settings: the defaults are the schema, and a wrong key is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.engines.fleet import FleetSettings
from receiver.errors import ReceiverError
from receiver.home.settings import load
from registry.errors import RegistryError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


@pytest.mark.parametrize("text", [None, "", "# nothing but a comment\n"])
def test_without_settings_there_are_the_defaults(path: Path, text: str | None) -> None:
    if text is not None:
        path.write_text(text)
    settings = load(path)
    assert (settings.engine, settings.push_limit, settings.etcd.timing.ttl) == ("auto", 200 << 20, 60)


def test_what_is_given_stands_and_the_rest_is_the_defaults(path: Path) -> None:
    path.write_text("push_limit: 2G\nmaven: -o -s '/a b'\netcd:\n  api: v3\n  ttl: 90\n")
    settings = load(path)
    assert settings.push_limit == 2 << 30
    assert settings.maven == ("-o", "-s", "/a b")
    assert (settings.etcd.api, settings.etcd.timing.ttl, settings.etcd.timing.refresh) == ("v3", 90, 20)


def test_a_build_may_take_all_memory_unless_it_is_said(path: Path) -> None:
    assert load(path).containers.build_memory is None
    path.write_text("containers: {build_memory: 4G}\n")
    assert load(path).containers.build_memory == 4 << 30


def fleet_urls(path: Path) -> tuple[str, ...]:
    return FleetSettings.of(load(path)).urls


@pytest.mark.parametrize(
    ("given", "urls"),
    [("http://a:1", ("http://a:1",)), ("[http://a:1, http://b:2]", ("http://a:1", "http://b:2"))],
)
def test_a_fleet_may_have_several_addresses(path: Path, given: str, urls: tuple[str, ...]) -> None:
    assert fleet_urls(path) == ()
    path.write_text(f"fleet: {{url: {given}}}\n")
    assert fleet_urls(path) == urls


def test_a_size_may_be_a_plain_number(path: Path) -> None:
    path.write_text("push_limit: 1000\n")
    assert load(path).push_limit == 1000


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("keeep: 3", "keeep", "keep"),
        ("etcd: {prot: 3}", "etcd.prot", "etcd.port"),
        ("xyzzy: 3", "xyzzy", "the keys are engine"),
        ("keep: many", "keep is 'many', which is not a whole number", ""),
        ("keep: true", "keep is True, which is not a whole number", ""),
        ("keep: -1", "keep is -1", ""),
        ("keep: 1.5", "keep is 1.5", ""),
        ("keep: 0", "keep is 0", "the least is 1"),
        ("registry: {port: 65536}", "registry.port is 65536", "ports end at 65535"),
        ("engine: 3", "engine is 3, which is not a text", ""),
        ("containers: {runtime: lxc}", "containers.runtime is 'lxc'", "auto, podman, docker"),
        ("containers: {build_memory: much}", "containers.build_memory is 'much'", "200M"),
        ("containers: {build_memory: true}", "containers.build_memory is True", ""),
        ("registry: {insecure: 1}", "registry.insecure is 1, which is not true or false", ""),
        ("registry: {urll: h:5000}", "registry.urll", "registry.url"),
        ("mpi: any", "mpi is 'any'", "auto, machine, wheel"),
        ("etcd: here", "etcd is 'here', which is not a list of keys", ""),
        ("fleet: {url: [3]}", "fleet.url is [3], which is not a text", ""),
        ("etcd: {api: v1}", "etcd.api is 'v1'", "auto, v2, v3"),
        ("push_limit: -1", "push_limit is -1", ""),
        ("push_limit: 0", "push_limit is 0", "the least is 1"),
        ("containers: {build_memory: 0M}", "containers.build_memory is 0", "the least is 1"),
        ("push_limit: 1T", "push_limit is '1T'", "200M"),
        ("3: 4", "does not know: 3", "the keys are"),
        (f"keep: {'9' * 5000}", "cannot be read", "see "),
        ("keep: " + "9" * 4000, "keep is 9999", "the largest number is"),
        (f"keep: 0x{'f' * 5000}", "keep is more than can be shown", "the largest number is"),
        ("keep: 2001-13-45", "cannot be read", "see "),
        ("keep: 2001-12-14", "which is not a whole number", "see "),
        (f"keep: {'[' * 2000}{']' * 2000}", "cannot be read", "see "),
        ("- a list", "is not a list of `key: value` lines", ""),
        ("{", "cannot be read", ""),
        ("keep: !!python/object:os.system 3", "cannot be read", ""),
    ],
)
def test_a_wrong_key_is_named(path: Path, text: str, sentence: str, hint: str) -> None:
    path.write_text(text)
    with pytest.raises(ReceiverError) as caught:
        load(path)
    assert str(path) in caught.value.message
    assert sentence in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"keep: \xff\xfe")
    with pytest.raises(ReceiverError, match="cannot be read"):
        load(path)


def test_a_link_to_nowhere_is_not_taken_for_no_settings(path: Path) -> None:
    path.symlink_to("nowhere")
    with pytest.raises(ReceiverError, match="cannot be read: No such file"):
        load(path)


def test_a_folder_is_no_settings_file(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ReceiverError, match="cannot be read: Is a directory"):
        load(path)


def test_a_timing_that_lets_live_keys_expire_is_refused(path: Path) -> None:
    path.write_text("etcd: {ttl: 39}\n")
    with pytest.raises(RegistryError, match="is more than ttl 39"):
        load(path)


@pytest.mark.parametrize("folder", ["srv/share", "/", "/srv/a:b", "/srv/two words"])
def test_what_cannot_be_a_shared_folder_is_refused(path: Path, folder: str) -> None:
    path.write_text(f"share: '{folder}'\n")
    with pytest.raises(ReceiverError, match="share is "):
        load(path)
