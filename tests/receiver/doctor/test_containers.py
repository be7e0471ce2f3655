"""What `nap doctor` finds of runtimes and registries, on machines made for the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.containers.image_registry import LabRegistry, free_port

from receiver import engine_choice
from receiver.builds import image_registry
from receiver.doctor import containers as doctor
from receiver.findings import ExaminedMachine, Finding
from receiver.home.paths import Home
from receiver.home.settings import RegistrySettings
from registry.images.client import RegistryClient


def machine(home: Path, *programs: str, **answers: str) -> ExaminedMachine:
    """A machine with these programs; what each says to `NAME_VERB` is in `answers`, else it fails."""

    def which(name: str) -> str | None:
        return f"/bin/{name}" if name in programs else None

    def output(command: Sequence[str]) -> str | None:
        return answers.get(f"{Path(command[0]).name}_{command[1].strip('-')}")

    return ExaminedMachine(home, which, output)


def checked(finding: Finding) -> tuple[bool | None, str]:
    return finding.ok, finding.found


def registry_of(home: Path) -> Finding:
    found = doctor.check_registry(machine(home))
    assert found
    return found


@pytest.mark.parametrize(("rootless", "found"), [("true\n", ", rootless"), ("false\n", "")])
def test_podman_says_whether_it_is_rootless(tmp_path: Path, rootless: str, found: str) -> None:
    there = machine(tmp_path, "podman", podman_version="podman version 4.3.1", podman_info=rootless)
    assert checked(doctor.check_podman(there)) == (True, f"4.3.1 (/bin/podman){found}")


def test_a_podman_that_does_not_answer_is_shown(tmp_path: Path) -> None:
    there = machine(tmp_path, "podman", podman_version="podman version 4.3.1")
    assert checked(doctor.check_podman(there)) == (None, "4.3.1 (/bin/podman) does not answer")


def test_docker_needs_its_daemon(tmp_path: Path) -> None:
    assert checked(doctor.check_docker(machine(tmp_path, "docker", docker_version="20.10.24+dfsg1"))) == (
        True, "20.10.24 (/bin/docker)",
    )  # fmt: skip
    silent = doctor.check_docker(machine(tmp_path, "docker"))
    assert silent.ok is None
    assert "systemctl start docker" in silent.hint


def test_one_of_both_runtimes_is_enough(tmp_path: Path) -> None:
    docker_alone = doctor.check_podman(machine(tmp_path, "docker"))
    assert (docker_alone.ok, docker_alone.package) == (None, "")
    assert "docker" in docker_alone.hint
    neither = machine(tmp_path)
    assert [doctor.check_podman(neither).package, doctor.check_docker(neither).package] == ["podman", ""]


def test_what_the_engine_of_this_home_needs_is_missing_for_good(tmp_path: Path) -> None:
    assert doctor.check_podman(machine(tmp_path)).ok is None
    engine_choice.keep(Home(tmp_path), "containers")
    assert doctor.check_podman(machine(tmp_path)).ok is False
    assert registry_of(tmp_path).ok is False


def test_the_registrys_server_goes_by_two_names(tmp_path: Path) -> None:
    assert doctor.check_registry_server(machine(tmp_path, "registry")).ok is True
    absent = doctor.check_registry_server(machine(tmp_path))
    assert (absent.ok, absent.package) == (None, "docker-registry")
    assert "registry.url" in absent.hint


def test_without_mmdebstrap_a_base_has_to_be_named(tmp_path: Path) -> None:
    assert doctor.check_mmdebstrap(machine(tmp_path, "mmdebstrap")).ok is True
    assert "containers.base" in doctor.check_mmdebstrap(machine(tmp_path)).hint


def test_a_registry_that_is_neither_named_nor_running_is_told_how_to_get(tmp_path: Path) -> None:
    found = registry_of(tmp_path)
    assert checked(found) == (None, "none is named, none is running")
    assert "nap up --engine containers" in found.hint


def test_nap_s_own_registry_is_tried_for_real(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log.mkdir()
    own = RegistrySettings("", "", "", "", "", False, 0)
    registry = image_registry.have(home, own, lambda line: None)
    try:
        found = registry_of(tmp_path)
        assert checked(found) == (True, f"{registry.name} takes images and gives them back")
        assert RegistryClient(registry).tags("nap_check") == []
    finally:
        image_registry.stop(home, lambda line: None)


def test_a_registry_that_settings_name_is_tried_for_real(tmp_path: Path) -> None:
    lab = LabRegistry(tmp_path / "registry", login=("nap", "right"))
    (tmp_path / "password").write_text("right\n")
    named = f"registry: {{url: '127.0.0.1:{lab.port}/team', user: nap, insecure: true"
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"{named}, password_file: {tmp_path}/password}}\n")
    away = registry_of(tmp_path)
    assert "cannot be reached" in away.found
    lab.start()
    try:
        assert registry_of(tmp_path).ok is True
        (tmp_path / "password").write_text("wrong\n")
        refused = registry_of(tmp_path)
        assert refused.found.endswith("refuses the login of 'nap'")
        assert "registry.password_file" in refused.hint
    finally:
        lab.stop()


def test_an_address_that_is_none_is_shown_as_the_registrys(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(f"registry: {{url: 'http://127.0.0.1:{free_port()}'}}\n")
    assert "is not the address of a registry" in registry_of(tmp_path).found
