"""What builds a tree and what runs it, over every kind and combination."""

import zipfile

import pytest
from support.trees import HELLO_C, THREE_KEYS, plant, refusal

from buildpacks.detect import describe, detect
from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan, Process, Step, from_json, to_json

MPI = {"mpi.xml": THREE_KEYS, "src/hello.c": HELLO_C}
MAVEN = {"pom.xml": "<project/>"}
DOCKER = {"Dockerfile": "FROM scratch\n"}
PROFILE = {"profile": "web: ./serve $PORT\n"}


def planned(tree, files):
    return detect(plant(tree, files)).plan(tree)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (MPI, "mpi.xml builds (openmpi, C), mpi.xml runs"),
        (PROFILE, "nothing has to be built, profile runs"),
        ({"Procfile": "a: b"}, "nothing has to be built, Procfile runs"),
        (MAVEN, "pom.xml builds (maven, Java), the jar in target/ runs"),
        (DOCKER, "Dockerfile builds (dockerfile), its own command runs"),
        (MAVEN | PROFILE, "pom.xml builds (maven, Java), profile runs"),
        (MAVEN | MPI, "pom.xml builds (openmpi, Java), mpi.xml runs"),
        (DOCKER | MPI, "Dockerfile builds (dockerfile), mpi.xml runs"),
        (DOCKER | MAVEN | MPI | PROFILE, "Dockerfile builds (dockerfile), mpi.xml runs"),
        (MPI | PROFILE, "mpi.xml builds (openmpi, C), mpi.xml runs"),
        (
            {"mpi.xml": "from: a.py\nnp: 2\n", "a.py": "print(1)\n"},
            "nothing has to be built, mpi.xml runs (openmpi, Python)",
        ),
    ],
)
def test_each_question_is_answered_by_the_first_that_can(tmp_path, files, line):
    assert describe(planned(tmp_path, files)) == line


def test_a_manifest_becomes_a_compile_line_in_the_landed_tree(tmp_path):
    plan = planned(tmp_path, MPI)
    compiled = Step(("mpicc", "-O2", "hello.c", "-o", "hello"), "mpicc -O2 hello.c -o hello")
    assert plan.steps == (compiled,)
    assert plan.products == ("hello",)
    assert plan.lands_first
    assert not plan.service


def test_own_commands_run_in_the_tree_as_it_came(tmp_path):
    manifest = "build: [./configure, make -j2]\nto: heat\nhosts: 2\npackages: libfftw3-dev\n"
    plan = planned(tmp_path, {"mpi.xml": manifest, "Makefile": ""})
    assert [step.argv for step in plan.steps] == [("sh", "-ec", "./configure"), ("sh", "-ec", "make -j2")]
    assert not plan.lands_first
    assert plan.products == ("heat",)
    assert plan.packages == ("libfftw3-dev",)


def test_a_tree_of_fortran_alone_needs_fortran_for_its_own_commands(tmp_path):
    files = {"mpi.xml": "build: make\nto: heat\nhosts: 2\n", "src/heat.f90": "", "plot.py": ""}
    assert planned(tmp_path, files).languages == ("Fortran",)


def test_a_script_alone_builds_nothing(tmp_path):
    plan = planned(tmp_path, {"mpi.xml": "run: ./sweep.sh\nhosts: 2\n", "sweep.sh": ""})
    assert (plan.built_by, plan.steps, plan.products) == ("", (), ())


def test_a_profile_with_a_web_line_is_a_service(tmp_path):
    plan = planned(tmp_path, PROFILE)
    assert plan.service
    assert plan.processes == (Process("web", "./serve $PORT"),)
    assert plan.stack == "plain"


def test_a_profile_that_is_a_link_out_of_the_tree_is_refused(tmp_path):
    (tmp_path / "other").write_text("a: b\n")
    tree = plant(tmp_path / "tree", {})
    tree.mkdir()
    (tree / "profile").symlink_to("../other")
    with pytest.raises(BuildpackError, match="profile is a symlink that leads out of the tree"):
        detect(tree).plan(tree)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MPI.xml", "mpi.xml"),
        ("mpi.yml", "mpi.xml"),
        ("mpi.xml.txt", "mpi.xml"),
        ("dockerfile", "Dockerfile"),
        ("Procfiles", "Procfile"),
    ],
)
def test_a_name_that_is_nearly_right_is_told(tmp_path, name, meant):
    tree = plant(tmp_path, {name: "", "hello.c": "", "makefile": "", "main.py": "", "README.md": ""})
    with pytest.raises(BuildpackError) as told:
        detect(tree)
    assert told.value.hint == f"There is a file `{name}`: did you mean `{meant}`?"


def test_where_no_name_is_nearly_right_it_is_told_what_to_write(tmp_path):
    names = ("hello.c", "makefile", "main.py", "profiling.txt", "domain.xml", "profile/x")
    with pytest.raises(BuildpackError) as told:
        detect(plant(tmp_path, dict.fromkeys(names, "")))
    assert "needs an mpi.xml" in told.value.hint


def test_a_built_in_kind_may_be_chosen_too(tmp_path):
    tree = plant(tmp_path, DOCKER | MPI)
    plan = detect(tree, chosen="mpi.xml").plan(tree)
    assert describe(plan) == "mpi.xml builds (openmpi, C), mpi.xml runs"
    plant(tree, {"mpi.xml": "to: hello\nhosts: 2\n"})
    assert detect(tree).plan(tree).manifest.to == "hello"
    with pytest.raises(BuildpackError, match="has no `from`"):
        detect(tree, chosen="mpi.xml").plan(tree)


def test_a_dockerfile_alone_is_a_service_with_the_images_own_command(tmp_path):
    tree = plant(tmp_path, DOCKER)
    plan = detect(tree).release(tree, detect(tree).plan(tree))
    assert plan.service
    assert plan.processes == (Process("web", ""),)
    plant(tree, PROFILE)
    assert detect(tree).release(tree, detect(tree).plan(tree)).processes[0].command == "./serve $PORT"


def test_a_dockerfile_that_is_a_link_out_of_the_tree_is_refused(tmp_path):
    tree = plant(tmp_path / "tree", {"x": ""})
    (tree / "Dockerfile").symlink_to("/etc/passwd")
    with pytest.raises(BuildpackError, match="Dockerfile is a symlink"):
        detect(tree).plan(tree)


def test_a_tree_of_none_of_the_kinds_is_told_the_list(tmp_path):
    with pytest.raises(BuildpackError) as error:
        detect(plant(tmp_path, {"hello.c": ""}))
    assert all(name in refusal(error) for name in ("Dockerfile", "pom.xml", "mpi.xml", "profile"))


def test_an_empty_tree_is_refused(tmp_path):
    with pytest.raises(BuildpackError, match="the pushed commit has no files"):
        detect(tmp_path)


def test_a_name_clash_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(BuildpackError, match="src/data and data both land"):
        planned(tmp_path, MPI | {"src/data/x": "", "data/x": ""})


@pytest.mark.parametrize("files", [MPI, MAVEN, DOCKER, PROFILE, DOCKER | MPI])
def test_a_plan_survives_its_json(tmp_path, files):
    plan = planned(tmp_path, files)
    assert from_json(to_json(plan)) == plan


def test_equal_plans_have_equal_bytes(tmp_path):
    first, second = (planned(tmp_path / name, MPI) for name in "ab")
    assert to_json(first) == to_json(second)


def test_every_field_of_a_plan_survives_its_json():
    plan = Plan("pack", "", "plain", ("C",), ("p",), (Step(("a", "é"), "s"),), True, ("x",),
                None, (Process("web", "w"),), (("A", "{app}/x"),), "pack@1")  # fmt: skip
    assert from_json(to_json(plan)) == plan


def jar(path, main):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\n{main}\r\n")


def released(tree, files=MAVEN):
    pack = detect(plant(tree, files))
    return pack.release(tree, pack.plan(tree))


def test_the_one_executable_jar_runs(tmp_path):
    jar(tmp_path / "target/app.jar", "Main-Class: a.App")
    jar(tmp_path / "target/app-sources.jar", "")
    assert released(tmp_path).processes == (Process("app", "java -jar target/app.jar"),)


def test_a_profile_beside_pom_xml_says_which_jar(tmp_path):
    assert released(tmp_path, MAVEN | PROFILE).processes == (Process("web", "./serve $PORT"),)


def test_no_executable_jar_is_refused(tmp_path):
    jar(tmp_path / "target/app.jar", "")
    with pytest.raises(BuildpackError, match="built no executable jar") as error:
        released(tmp_path)
    assert "profile" in refusal(error)


def test_several_executable_jars_are_refused(tmp_path):
    jar(tmp_path / "target/a.jar", "Main-Class: a.App")
    jar(tmp_path / "target/b.jar", "Main-Class: b.App")
    with pytest.raises(BuildpackError, match=r"several executable jars in target/ \(a\.jar, b\.jar\)"):
        released(tmp_path)
