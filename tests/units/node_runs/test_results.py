"""Which files of a run are results, and which node gives what several have."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

import pytest

from units.node_runs.results import shared_out
from units.oci.wanted import Wanted, changed

APP = PurePosixPath("/app")
DIFF = b"""\
C /app
A /app/out
A /app/out/a b.csv
A /app/two
lines.csv
D /app/gone
C /etc
A /apple
C /app/c.csv
"""


def test_only_what_was_made_below_the_apps_folder_counts() -> None:
    assert [str(path) for path in changed(DIFF, APP)] == ["out", "out/a b.csv", "two\nlines.csv", "c.csv"]


@pytest.mark.parametrize(
    ("patterns", "source", "names"),
    [
        (["out"], "x:/app/out/a b.csv", ["a b.csv"]),
        (["*.csv"], "x:/app/.", ["c.csv", "two\nlines.csv"]),
        (["**/*.csv"], "x:/app/.", ["c.csv", "out/a b.csv", "two\nlines.csv"]),
        (["c.csv"], "x:/app/c.csv", ["c.csv"]),
    ],
)
def test_what_fits_comes_as_one_archive(patterns: list[str], source: str, names: list[str]) -> None:
    wanted = Wanted.of(DIFF, APP, patterns)
    assert wanted is not None
    assert wanted.source("x") == source
    assert sorted(map(str, wanted.names)) == names


def test_where_nothing_fits_nothing_comes() -> None:
    assert Wanted.of(DIFF, APP, ["*.txt"]) is None


def test_of_files_with_one_name_the_first_node_gives_its_own() -> None:
    one, two, both = PurePath("one"), PurePath("two"), PurePath("d/both")
    chosen, clashes = shared_out({"node1": [one, both], "node2": [both, two], "node3": []})
    assert chosen == {"node1": [one, both], "node2": [two], "node3": []}
    assert clashes == ["d/both in /share on node2 was left out, node1 has one too"]
