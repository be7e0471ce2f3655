"""Stacks as images, built for real by both runtimes: what is in them, what is not, and how often."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers.image_registry import LabRegistry
from support.nap_home import EXAMPLES

from buildpacks.plan import Plan
from buildpacks.stacks.stack import Stack
from receiver.builds.stacks import base as base_image
from receiver.builds.stacks.images import StackImages
from receiver.builds.stacks.records import Built, StackRecords
from receiver.errors import ReceiverError
from receiver.home import settings
from receiver.home.paths import Home
from registry.images.client import RegistryClient
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

LARGEST_RUN_IMAGE = 90_000_000
# What sshd gives to who does not log in but runs a command.
SSHD_ENV = "HOME=/home/app PATH=/usr/local/bin:/usr/bin:/bin"
HELLO = """
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    printf("rank %d of %d\\n", rank, ranks);
    MPI_Finalize();
}
"""


class Lab:
    """The stacks of one runtime, with a registry and a home of their own."""

    def __init__(self, root: Path, wheels: Path, runtime: Runtime, registry: LabRegistry) -> None:
        self.home = Home(root)
        root.mkdir()
        self.home.stacks.symlink_to(wheels.absolute())
        self.runtime, self.registry = runtime, registry
        self.lines: list[str] = []

    def images(self, runtime: Runtime | None = None, base: str = "") -> StackImages:
        defaults = settings.load(self.home.settings)
        ours = replace(defaults, containers=replace(defaults.containers, base=base))
        return StackImages(self.home, ours, self.registry.registry, runtime or self.runtime)

    def say(self, line: str) -> None:
        print(line)
        self.lines.append(line)

    def build(self, name: str) -> Built:
        return self.images().build(name, self.say)

    def have(self, *packages: str, stack: str = "plain", languages: tuple[str, ...] = ()) -> Stack:
        plan = Plan("profile", "profile", stack, languages=languages, packages=packages)
        return self.images().have(plan, self.say)

    def inside(self, image: str, tree: Path, command: str) -> str:
        """What a shell of the ordinary user says in a container of `image`, with `tree` as /app."""
        options = (
            "--rm",
            "--user",
            "1000:1000",
            "--network=none",
            "--volume",
            f"{tree}:/app",
            "--workdir=/app",
        )
        return self.runtime.ask("run", *options, image, "sh", "-ec", command)

    def has(self, image: str, tree: Path, tool: str) -> bool:
        return bool(self.inside(image, tree, f"command -v {tool} || true").strip())


@pytest.fixture(scope="session")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    stacks: Path,
    runtime: Runtime,
) -> Iterator[Lab]:
    stacks.mkdir(parents=True, exist_ok=True)
    folder = tmp_path_factory.mktemp(f"stacks-{runtime.kind}")
    registry = LabRegistry(folder / "registry")
    flags = ("--tls-verify=false",) if runtime.kind == "podman" else ()
    registry.start()
    yield Lab(folder / "home", stacks, replace(runtime, registry_flags=flags), registry)
    registry.stop()


@pytest.fixture
def tree(lab: Lab, tmp_path: Path) -> Path:
    """A folder that belongs to the user inside."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "hello.c").write_text(HELLO)
    shutil.copy(EXAMPLES / "fortran" / "squares.f90", folder)
    tmp_path.chmod(0o755)
    lab.runtime.give(folder)
    return folder


def names_in_layers(runtime: Runtime, image: str, folder: Path) -> set[str]:
    """The files of all layers, also of those that later ones hide."""
    archive = folder / "image.tar"
    runtime.ask("save", "--output", str(archive), image)
    names: set[str] = set()
    with tarfile.open(archive) as whole:
        manifest = whole.extractfile("manifest.json")
        assert manifest is not None
        for layer in json.load(manifest)[0]["Layers"]:
            data = whole.extractfile(layer)
            assert data is not None
            with tarfile.open(fileobj=io.BytesIO(data.read())) as files:
                names |= {name.removeprefix("./") for name in files.getnames()}
    return names


@pytest.mark.parametrize("name", ["openmpi", "mpich"])
def test_c_compiled_in_the_build_image_runs_in_the_run_image(lab: Lab, tree: Path, name: str) -> None:
    built = lab.build(name)
    lab.inside(built.build, tree, "mpicc hello.c -o hello")
    said = lab.inside(built.run, tree, f"env -i {SSHD_ENV} mpirun -n 2 {_eager(name)} ./hello")
    assert sorted(said.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]


@pytest.mark.parametrize("name", ["openmpi-fortran", "mpich-fortran"])
def test_fortran_compiled_in_the_build_image_runs_in_the_run_image(lab: Lab, tree: Path, name: str) -> None:
    built = lab.build(name)
    lab.inside(built.build, tree, "mpifort squares.f90 -o squares && mpicc hello.c -o hello")
    said = lab.inside(built.run, tree, f"mpirun -n 4 {_eager(name)} ./squares")
    subprocess.run([EXAMPLES / "fortran" / "verify"], input=said, text=True, check=True)
    assert built.stack.title.split()[-1].startswith("4.")


def _eager(name: str) -> str:
    """Open MPI counts cores; a machine may have one."""
    return "--oversubscribe" if name.startswith("openmpi") else ""


def test_the_run_image_is_small_and_has_neither_compiler_nor_host_key(
    lab: Lab, tree: Path, tmp_path: Path
) -> None:
    built = lab.build("openmpi")
    assert built.run_size <= LARGEST_RUN_IMAGE
    tools = {tool: lab.has(built.run, tree, tool) for tool in ("gcc", "cc", "mpicc", "python3", "ssh", "sh")}
    assert tools == {"gcc": False, "cc": False, "mpicc": False, "python3": False, "ssh": True, "sh": True}
    names = names_in_layers(lab.runtime, built.run, tmp_path)
    assert "usr/sbin/sshd" in names
    assert [
        name for name in names if "ssh_host_" in name or name == "etc/pip.conf" or "auth.conf.d/" in name
    ] == []


def test_programs_of_the_run_image_are_an_ordinary_user_with_a_home(lab: Lab, tree: Path) -> None:
    said = lab.inside(lab.build("openmpi").run, tree, "id -un; id -u; id -g; getent passwd app; touch ~/x")
    assert said.split()[:3] == ["app", "1000", "1000"]
    assert "/home/app:/bin/sh" in said


def test_packages_are_in_both_stages_on_top_of_the_stack(lab: Lab, tree: Path) -> None:
    built = lab.build("plain")
    stack = lab.have("xxd")
    assert [lab.has(image, tree, "xxd") for image in (stack.build_image, stack.run_image)] == [True, True]
    assert (lab.has(stack.build_image, tree, "gcc"), lab.has(stack.run_image, tree, "gcc")) == (True, False)
    assert stack.key != built.stack.key
    assert lab.have("xxd").key == stack.key


def test_a_package_that_does_not_exist_is_named(lab: Lab) -> None:
    lab.build("plain")
    with pytest.raises(ReceiverError) as caught:
        lab.have("xxd", "no-such-package-of-debians")
    assert caught.value.message == "`packages` names no-such-package-of-debians, which is not in this Debian"
    assert len(StackRecords(lab.home.stack_records).all()) >= 1


def test_a_stack_that_is_there_takes_one_process(lab: Lab, tmp_path: Path) -> None:
    lab.build("plain")
    calls, wrapper = tmp_path / "calls", tmp_path / "client"
    wrapper.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\nexec {lab.runtime.program} "$@"\n')
    wrapper.chmod(0o755)
    plan = Plan("", "profile", "plain")
    lab.images(replace(lab.runtime, program=str(wrapper))).have(plan, lab.say)
    assert calls.read_text().splitlines() == ["image inspect"]


def test_two_who_ask_at_once_build_once(lab: Lab) -> None:
    lab.build("plain")
    heard: list[str] = []
    both = threading.Barrier(2)

    def ask() -> None:
        both.wait()
        plan = Plan("", "profile", "plain", packages=("hello",))
        keys.append(lab.images().have(plan, heard.append).key)

    keys: list[str] = []
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len([line for line in heard if line.startswith("-----> building")]) == 1


def test_an_image_that_vanished_comes_back_from_the_registry(lab: Lab) -> None:
    stack = lab.have("xxd")
    lab.runtime.ask("rmi", "--force", stack.run_image)
    lab.lines.clear()
    assert lab.have("xxd").key == stack.key
    assert [line for line in lab.lines if "building" in line] == []
    assert lab.runtime.run("image", "inspect", stack.run_image).returncode == 0


def test_images_of_a_recipe_that_is_no_more_are_taken_away(lab: Lab) -> None:
    lab.build("plain")
    old = lab.have("ed")
    records = StackRecords(lab.home.stack_records)
    record = next(built for built in records.all() if built.stack.key == old.key)
    records.drop(record)
    records.keep(replace(record, key="0" * 16))
    lab.have("patch")
    assert [built for built in records.all() if built.key == "0" * 16] == []
    found = [lab.runtime.has(image) for image in (old.build_image, old.run_image)]
    assert found == [False, False]
    assert not RegistryClient(lab.registry.registry).has("nap_plain_run", old.run_image.partition("@")[2])


def test_an_image_that_is_nowhere_is_built_again(lab: Lab) -> None:
    stack = lab.have("xxd")
    records = StackRecords(lab.home.stack_records)
    record = next(built for built in records.all() if built.stack.key == stack.key)
    gone = record.run.partition("@")[0] + "@sha256:" + "0" * 64
    records.keep(replace(record, run=gone))
    assert lab.have("xxd").run_image != gone


@pytest.fixture
def base(lab: Lab) -> str:
    """A base image as settings name one: in a registry."""
    lab.build("plain")
    named = lab.registry.registry.tagged("base", "bookworm")
    lab.runtime.ask("tag", base_image.name(""), named)
    lab.runtime.ask("push", *lab.runtime.registry_flags, named)
    return named


def test_a_build_anew_on_a_named_base_uses_todays_packages_and_those_on_top_follow(
    lab: Lab, base: str
) -> None:
    images, plan = lab.images(base=base), Plan("", "profile", "plain", packages=("xxd",))
    before, on_top = images.build("plain", lab.say), images.have(plan, lab.say)
    after = images.build("plain", lab.say, anew=True)
    assert after.key == before.key != lab.build("plain").key
    assert after.run != before.run
    assert images.have(plan, lab.say).run_image != on_top.run_image


def test_maven_builds_and_java_runs(lab: Lab, tmp_path: Path, tree: Path) -> None:
    built = lab.build("maven")
    app = tmp_path / "maven"
    shutil.copytree(EXAMPLES / "maven", app)
    lab.runtime.give(app)
    maven = "mvn -B -q -o -s /etc/maven/settings-debian.xml -DskipTests package"
    lab.inside(built.build, app, f"export HOME=/tmp; {maven}")
    assert lab.inside(built.run, app, "java -jar target/*.jar")
    assert not lab.has(built.run, tree, "mvn")
