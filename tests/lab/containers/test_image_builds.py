"""Commits become images for real, on both runtimes; what cannot be built is refused and leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.containers.home import SharedStacks
from support.containers.image_builds import BuiltApp, Files, Workshop, once, running
from support.containers.image_registry import LabRegistry
from support.nap_home import EXAMPLES, NapHome, wait_for

from buildpacks.errors import BuildpackError
from receiver.errors import ReceiverError
from registry.errors import RegistryError
from registry.images.client import RegistryClient
from units.job import Outcome
from units.oci.runtime import Runtime

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

HELLO = (EXAMPLES / "hello" / "hello.c").read_text()
THREE_KEYS = "from: hello.c\nto: hello\nhosts: 2\n"
RELEASE = """\
config_vars:
  GREETING: hello $x "y"
default_process_types:
  app: cat built
"""


@pytest.fixture(scope="module")
def workshop(
    tmp_path_factory: pytest.TempPathFactory, image_stacks: SharedStacks, runtime: Runtime
) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp(f"builds-{runtime.kind}")
    stacks = image_stacks.images(runtime)
    shared = Workshop(folder / "home", runtime, stacks, LabRegistry(folder / "registry"))
    yield shared
    shared.close()


@pytest.fixture
def app(workshop: Workshop, tmp_path: Path) -> Iterator[BuiltApp]:
    made = BuiltApp(workshop, tmp_path / "tree")
    yield made
    made.cancellation.close()
    assert list(workshop.home.scratch.glob("*")) == []


@pytest.fixture
def base(workshop: Workshop) -> str:
    """An image that every Dockerfile can be built FROM: a shell and Python."""
    return workshop.stacks.build("plain", print).run


def example(name: str) -> Files:
    tree = EXAMPLES / name
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and path.name != "verify"
    }


@pytest.mark.parametrize(
    ("name", "command", "said"),
    [
        ("hello", "mpirun -np 2 --oversubscribe ./hello", "rank 1 of 2"),
        ("cxx", "mpirun -np 2 --oversubscribe ./sort", "rank 1 of 2"),
        ("makefile", "mpirun -np 2 --oversubscribe ./eigen 20", "2 ranks"),
        ("mpi4py", "mpirun -np 2 --oversubscribe python3 primes.py", "rank 1 of 2"),
        ("maven", "java -jar target/*.jar", "takes the most steps"),
        ("profile-script", "ls", "profile"),
    ],
)
def test_a_tree_becomes_an_image_that_runs_it(app: BuiltApp, name: str, command: str, said: str) -> None:
    prepared = app.build(example(name))
    assert said in app.inside(prepared, command)
    assert prepared.image.reference.startswith(f"{app.workshop.registry.name}/")


def test_the_image_holds_the_compiled_tree_and_no_compiler(app: BuiltApp) -> None:
    files = {"src/hello.c": HELLO, "data/x": "1\n", ".dockerignore": "*\n", "mpi.xml": THREE_KEYS}
    prepared = app.build(files)
    uid = str(app.workshop.runtime.uid)
    told = app.inside(prepared, "id -u; pwd; stat -c '%u' . hello data/x; command -v mpicc gcc cc; touch new")
    assert told.split() == [uid, "/app", uid, uid, uid]
    assert app.inside(prepared, "ls -A").split() == [
        ".dockerignore",
        "data",
        "hello",
        "hello.c",
        "mpi.xml",
        "src",
    ]


def test_the_same_inputs_build_and_push_nothing(app: BuiltApp) -> None:
    files: Files = {"hello.c": HELLO, "mpi.xml": THREE_KEYS}
    first = app.build(files)
    stored = app.workshop.lab_registry.stored()
    again = app.build({})
    assert (again.image, again.plan) == (first.image, first.plan)
    assert any("built before" in line for line in app.said)
    assert not any("mpicc" in line for line in app.said)
    assert app.workshop.lab_registry.stored() == stored


def test_an_image_that_was_removed_by_hand_comes_back_from_the_registry(app: BuiltApp) -> None:
    first = app.build({"hello.c": HELLO, "mpi.xml": THREE_KEYS})
    app.workshop.runtime.ask("rmi", "--force", first.image.reference)
    assert app.build({}).image == first.image
    assert any("built before" in line for line in app.said)
    assert "hello" in app.inside(first, "ls")


def test_a_change_of_source_pushes_little(app: BuiltApp) -> None:
    files = {**example("mpi4py"), "data.bin": bytes(3 << 20)}
    app.build(files)
    stored = app.workshop.lab_registry.stored()
    app.build({"primes.py": files["primes.py"] + b"# changed\n"})
    assert any("pip install" in line for line in app.said)
    assert app.workshop.lab_registry.stored() - stored < 100_000


def test_builds_of_an_app_share_a_cache(app: BuiltApp) -> None:
    manifest = (
        'build: "echo x >> $HOME/count; cp $HOME/count count; cp hello.sh hello"\nto: hello\nhosts: 2\n'
    )
    (app.tree / "hello.sh").touch(0o755)
    app.build({"mpi.xml": manifest, "hello.sh": "#!/bin/sh\n"})
    again = app.build({"hello.sh": "#!/bin/sh\n# changed\n"})
    assert app.inside(again, "cat count").split() == ["x", "x"]


def test_a_folder_pack_compiles_in_the_stacks_image(app: BuiltApp) -> None:
    pack = app.workshop.home.buildpacks / "lua"
    programs = {
        "detect": "test -f $1/main.lua && echo lua",
        "compile": 'cat "$3"/* 2>/dev/null; echo "at $1" > $1/built; touch $0.new 2>&1 || true',
        "release": f"cat <<'E'\n{RELEASE}E",
    }
    (pack / "bin").mkdir(parents=True)
    for name, text in programs.items():
        (pack / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (pack / "bin" / name).chmod(0o755)
    prepared = app.build({"main.lua": ""})
    assert app.inside(prepared, 'cat built; echo "$GREETING"').splitlines() == ["at /app", 'hello $x "y"']
    assert not list(pack.glob("bin/*.new"))
    (pack / "bin" / "compile").write_text('#!/bin/sh\necho edited > $1/built\n')
    assert app.inside(app.build({}), "cat built") == "edited\n"


def test_a_step_that_fails_is_refused_with_its_lines(app: BuiltApp) -> None:
    broken = HELLO.replace("MPI_Init", "MPI_Begin")
    with pytest.raises(BuildpackError, match=r"`mpicc -O2 hello.c -o hello` ended with 1"):
        app.build({"hello.c": broken, "mpi.xml": THREE_KEYS})
    assert any("MPI_Begin" in line for line in app.said)
    assert app.left() == []


def test_a_program_of_another_mpi_is_refused(app: BuiltApp) -> None:
    source = "int MPI_Init(void) { return 0; }\n"
    build = [
        "gcc -shared -fPIC -Wl,-soname,libmpi.so.12 mpi.c -o libmpi.so.12",
        "gcc main.c ./libmpi.so.12 -Wl,-rpath,/app -o hello",
    ]
    manifest = f"build: {build}\nto: hello\nhosts: 2\n"
    files = {"mpi.c": source, "main.c": "int MPI_Init(void);int main(){return MPI_Init();}\n"}
    with pytest.raises(BuildpackError, match="hello is linked to MPICH") as caught:
        app.build({**files, "mpi.xml": manifest})
    assert "mpi: mpich" in caught.value.hint


def test_a_dockerfile_runs_its_own_command_as_a_service(app: BuiltApp, base: str) -> None:
    text = f"FROM {base}\nENV GREETING=hello\nWORKDIR /srv\nUSER 4242\nCOPY . .\nCMD serve $PORT\n"
    prepared = app.build({"Dockerfile": text, "x": "1\n", "src/y": ""})
    assert prepared.plan.service
    assert prepared.image.workdir == "/srv"
    assert dict(prepared.image.env)["GREETING"] == "hello"
    assert app.inside(prepared, "ls").split() == ["Dockerfile", "src", "x"]


def test_a_dockerfiles_failing_step_is_named_and_shown(app: BuiltApp, base: str) -> None:
    text = f"FROM {base}\nRUN echo first\nRUN echo before the fault && exit 2\nRUN echo never\n"
    with pytest.raises(BuildpackError) as caught:
        app.build({"Dockerfile": text})
    assert caught.value.message == "Dockerfile, step 3: RUN echo before the fault && exit 2 ended with 2"
    assert any(line.strip() == "before the fault" for line in app.said)
    assert not any("DEPRECATED" in line for line in app.said)
    assert app.left() == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("COPY nothing /x", "Dockerfile, step 2: COPY nothing /x: "),
        ("USER nobodyhere\nRUN true", "Dockerfile, step 3: RUN true: "),
        ("RUNN true", "unknown instruction"),
    ],
)
def test_another_fault_of_a_dockerfile_is_told_in_a_sentence(
    app: BuiltApp, base: str, lines: str, sentence: str
) -> None:
    with pytest.raises(BuildpackError) as caught:
        app.build({"Dockerfile": f"FROM {base}\n{lines}\n"})
    assert sentence.lower() in caught.value.message.lower()
    assert "\n" not in caught.value.message
    assert app.left() == []


def test_an_image_that_cannot_be_pulled_is_named(app: BuiltApp) -> None:
    missing = f"{app.workshop.registry.host}/nothing:1"
    with pytest.raises(BuildpackError, match=rf"{missing}, which the Dockerfile is built FROM") as caught:
        app.build({"Dockerfile": f"FROM {missing}\nRUN true\n"})
    assert "cannot be pulled" in caught.value.message
    assert app.left() == []


def test_an_image_of_the_users_own_runs_mpi_when_it_has_all_it_takes(app: BuiltApp) -> None:
    own = app.workshop.stacks.build("mpich", print).build
    files = {"hello.c": HELLO, "mpi.xml": THREE_KEYS, "go": "#!/bin/sh\n"}
    text = f"FROM {own}\nWORKDIR /opt/work\nCOPY . .\nRUN mpicc hello.c -o hello\n"
    prepared = app.build({**files, "Dockerfile": text})
    assert (prepared.image.flavour, prepared.image.workdir) == ("mpich", "/opt/work")
    with pytest.raises(BuildpackError, match="has no program hello in /opt/work"):
        app.build({"Dockerfile": text.replace("-o hello", "-o helo")})
    assert app.left()[1:] == []


def test_an_image_without_sshd_is_refused_with_the_packages(app: BuiltApp, base: str) -> None:
    with pytest.raises(BuildpackError, match="has no sshd, no ssh, no mpirun") as caught:
        app.build({"Dockerfile": f"FROM {base}\nCOPY . /app\n", "mpi.xml": THREE_KEYS, "hello.c": HELLO})
    assert "openssh-server openssh-client openmpi-bin" in caught.value.hint
    assert app.left() == []


def test_mpi_xml_builds_beside_a_dockerfile_when_it_is_chosen(app: BuiltApp) -> None:
    files: Files = {"Dockerfile": "FROM nothing\n", "hello.c": HELLO, "mpi.xml": THREE_KEYS}
    assert app.build(files, buildpack="mpi.xml").plan.built_by == "mpi.xml"


BUILDS: dict[str, Callable[[str, str], Files]] = {
    # The line itself is shown before anything runs: it does not say what its step will.
    "a step": lambda mark, _: {"mpi.xml": f"build: echo be''gun; sleep {mark}\nto: x\nhosts: 1\n"},
    "a Dockerfile": lambda mark, base: {"Dockerfile": f"FROM {base}\nRUN echo be''gun; sleep {mark}\n"},
}


@pytest.mark.parametrize("files", BUILDS.values(), ids=BUILDS)
def test_a_cancelled_build_leaves_nothing(
    app: BuiltApp, base: str, files: Callable[[str, str], Files]
) -> None:
    with pytest.raises(ReceiverError, match="cancelled"):
        app.build(files(app.mark, base), hear=once("begun", lambda: app.cancellation.cancel(Outcome(130))))
    assert running(app.mark) == []
    assert app.left() == []


def test_a_build_that_is_cancelled_before_its_step_runs_leaves_nothing(app: BuiltApp, base: str) -> None:
    cancel = once("RUN sleep", lambda: app.cancellation.cancel(Outcome(130)))
    with pytest.raises(ReceiverError, match="cancelled"):
        app.build({"Dockerfile": f"FROM {base}\nRUN sleep {app.mark}\n"}, hear=cancel)
    assert running(app.mark) == []
    assert app.left() == []


@pytest.mark.parametrize("files", BUILDS.values(), ids=BUILDS)
def test_a_build_that_takes_too_long_leaves_nothing(
    app: BuiltApp, base: str, files: Callable[[str, str], Files]
) -> None:
    app.workshop.stacks.build("openmpi", print)
    short = replace(app.workshop.settings, build_timeout=5)
    with pytest.raises(ReceiverError, match="took longer than it may"):
        app.build(files(app.mark, base), short)
    assert running(app.mark) == []
    assert app.left() == []


def test_a_build_over_its_memory_is_said_to_be(app: BuiltApp) -> None:
    little = replace(app.workshop.settings.containers, build_memory=64 << 20)
    eat = "python3 -c 'x = bytearray(500 << 20)'"
    with pytest.raises((BuildpackError, ReceiverError)) as caught:
        app.build(
            {"mpi.xml": f"build: {eat}\nto: x\nhosts: 1\n", "a.py": ""},
            replace(app.workshop.settings, containers=little),
        )
    assert "memory" in caught.value.hint


def test_a_registry_that_is_down_refuses_the_push(app: BuiltApp) -> None:
    app.workshop.stacks.build("openmpi", print)
    app.workshop.lab_registry.stop()
    try:
        with pytest.raises(RegistryError, match=r"127\.0\.0\.1"):
            app.build({"hello.c": HELLO, "mpi.xml": THREE_KEYS})
        assert app.left() == []
    finally:
        app.workshop.lab_registry.start()
    app.build({"hello.c": HELLO, "mpi.xml": THREE_KEYS})


def test_a_release_gives_its_image_a_tag(app: BuiltApp) -> None:
    prepared = app.build({"hello.c": HELLO, "mpi.xml": THREE_KEYS})
    app.workshop.builder().released(app.name, 7, prepared.image)
    repository, digest = app.workshop.registry.split(prepared.image.reference)
    assert RegistryClient(app.workshop.registry).digest(repository, "v7") == digest
    assert f"{app.name}_image:v7" in " ".join(app.left())


@pytest.mark.parametrize("files", BUILDS.values(), ids=BUILDS)
def test_what_a_killed_receiver_was_building_is_gone_with_the_next(
    own_containers_home: NapHome,
    runtime: Runtime,
    base: str,
    tmp_path: Path,
    files: Callable[[str, str], Files],
) -> None:
    mark = str(3000 + int.from_bytes(os.urandom(2), "big"))
    own_containers_home.up()
    app = own_containers_home.app("built", tmp_path / "tree", files(mark, base))
    push = app.start_push()
    wait_for(push.stderr, "begun")
    own_containers_home.kill_daemon()
    push.communicate()
    own_containers_home.up()
    assert running(mark) == []
    label = f"label=nap.home={own_containers_home.root}"
    assert runtime.ask("ps", "--all", "--quiet", "--filter", label) == ""
    assert not list((own_containers_home.root / "scratch").glob("*"))
    assert app.runs() == []
