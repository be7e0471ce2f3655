"""Ranks over slaves; files over folders."""

import pytest
from support.trees import plant, refusal

from buildpacks.errors import BuildpackError
from buildpacks.layout import find_product, land
from buildpacks.mpi_xml.manifest import Manifest, layout, may_be_split, override


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"hosts": 4}, (1, 1, 1, 1)),
        ({"hosts": 2, "slots": 3}, (3, 3)),
        ({"hosts": 4, "np": 10}, (3, 3, 2, 2)),
        ({"hosts": 4, "np": 10, "slots": 8}, (3, 3, 2, 2)),
        ({"np": 6}, (6,)),
        ({"np": 7, "slots": 2}, (2, 2, 2, 1)),
    ],
)
def test_ranks_are_spread_evenly_over_the_fewest_slaves(counts, expected):
    assert layout(Manifest(**counts)) == expected


@pytest.mark.parametrize("counts", [{"hosts": 1}, {"hosts": 2, "np": 4}, {"np": 4, "slots": 2}])
def test_where_slaves_are_told_they_are_as_they_were_told(counts):
    assert may_be_split(Manifest(np=4))
    assert not may_be_split(Manifest(**counts))


@pytest.mark.parametrize(
    ("counts", "options", "expected"),
    [
        ({"hosts": 4}, {"np": "8"}, (2, 2, 2, 2)),
        ({"hosts": 4, "slots": 1}, {"np": "10"}, (3, 3, 2, 2)),
        ({"hosts": 4}, {"np": "3"}, (1, 1, 1)),
        ({"hosts": 4}, {"hosts": "2"}, (1, 1)),
        ({"hosts": 4}, {"slots": "2"}, (2, 2, 2, 2)),
        ({"hosts": 4, "np": 10}, {"hosts": "2"}, (5, 5)),
        ({"np": 4}, {"np": "6", "slots": "3"}, (3, 3)),
        ({"np": 4}, {"hosts": "2"}, (2, 2)),
    ],
)
def test_push_options_spread_anew(counts, options, expected):
    assert layout(override(Manifest(**counts), options)) == expected


def test_what_is_in_src_lands_beside_the_rest(tmp_path):
    plant(tmp_path, {"src/a.c": "a", "src/lib/b.c": "b", "data/x": "x", "mpi.xml": ""})
    land(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.c", "data", "lib", "mpi.xml", "src"]
    assert (tmp_path / "src/lib/b.c").read_text() == "b"


def test_landing_twice_changes_nothing(tmp_path):
    plant(tmp_path, {"src/a.c": "a"})
    land(tmp_path)
    land(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.c", "src"]


def test_a_name_clash_is_refused_and_nothing_has_moved(tmp_path):
    plant(tmp_path, {"src/a.c": "", "src/data/y": "", "data/x": ""})
    with pytest.raises(BuildpackError, match="src/data and data both land at data") as error:
        land(tmp_path)
    assert "rename one of the two" in refusal(error)
    assert (tmp_path / "src/a.c").exists()


def test_two_makefiles_are_no_clash(tmp_path):
    plant(tmp_path, {"src/Makefile": "inner", "Makefile": "outer", "src/a.c": ""})
    land(tmp_path)
    assert (tmp_path / "Makefile").read_text() == "outer"


def test_a_src_inside_of_src_is_refused(tmp_path):
    plant(tmp_path, {"src/src/a.c": ""})
    with pytest.raises(BuildpackError, match="src/src and src both land at src"):
        land(tmp_path)


def test_relative_links_still_lead_where_they_led(tmp_path):
    plant(tmp_path, {"data/x": "x", "src/deep/y": "y", "src/a.c": "a"})
    links = {
        "src/out": "../data/x",
        "src/deep/out": "../../data/x",
        "src/in": "deep/y",
        "src/back": "../src/a.c",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    land(tmp_path)
    landed = [(tmp_path / name).read_text() for name in ("out", "deep/out", "in", "back")]
    assert landed == ["x", "x", "y", "a"]


def program(tree, name):
    plant(tree, {name: "#!/bin/sh\n"})
    (tree / name).chmod(0o755)


def test_the_program_at_the_top_is_the_product(tmp_path):
    program(tmp_path, "hello")
    program(tmp_path, "old/hello")
    assert find_product(tmp_path, "hello") == tmp_path / "hello"


def test_a_program_elsewhere_gets_a_link_at_the_top(tmp_path):
    program(tmp_path, "build/bin/hello")
    assert find_product(tmp_path, "hello").resolve() == tmp_path / "build/bin/hello"
    assert (tmp_path / "hello").readlink().as_posix() == "build/bin/hello"


def test_a_missing_program_names_what_is_there(tmp_path):
    program(tmp_path, "bin/heat2d")
    with pytest.raises(BuildpackError, match="the program heat is not there after the build") as error:
        find_product(tmp_path, "heat")
    assert "heat2d" in refusal(error)


def test_two_programs_of_the_name_are_refused(tmp_path):
    program(tmp_path, "a/heat")
    program(tmp_path, "b/heat")
    with pytest.raises(BuildpackError, match=r"several programs heat \(a/heat, b/heat\)"):
        find_product(tmp_path, "heat")


def test_a_file_that_is_not_executable_is_no_program(tmp_path):
    plant(tmp_path, {"heat": ""})
    with pytest.raises(BuildpackError, match="heat is there after the build and is not executable") as error:
        find_product(tmp_path, "heat")
    assert "chmod +x heat" in refusal(error)
