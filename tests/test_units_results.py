"""Which files of a run are results, and which node gives what several have."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath

import pytest

from units.containers.results import changed, matching
from units.systemd.results import shared_out


def test_only_what_was_made_below_the_apps_folder_counts() -> None:
    said = "C /app\nA /app/out\nA /app/out/a b.csv\nD /app/gone\nC /etc\nA /apple\n"
    assert changed(said, PurePosixPath("/app")) == [PurePosixPath("out"), PurePosixPath("out/a b.csv")]


@pytest.mark.parametrize(
    ("patterns", "matched"),
    [
        (["out"], ["out"]),
        (["**/*.csv"], ["a.csv", "out/b.csv", "out/deep/c.csv"]),
        (["out", "**/*.csv"], ["a.csv", "out"]),
        (["*.txt"], []),
    ],
)
def test_a_folder_that_matches_stands_for_all_in_it(
    tmp_path: Path, patterns: list[str], matched: list[str]
) -> None:
    paths = [PurePath(name) for name in ("a.csv", "out/b.csv", "out/deep/c.csv", "out/deep/note")]
    scratch = tmp_path / "scratch"
    assert matching(paths, patterns, scratch) == [PurePath(name) for name in matched]
    assert list(scratch.iterdir()) == []


def test_of_files_with_one_name_the_first_node_gives_its_own() -> None:
    one, two, both = PurePath("one"), PurePath("two"), PurePath("d/both")
    chosen, clashes = shared_out({"node1": [one, both], "node2": [both, two], "node3": []})
    assert chosen == {"node1": [one, both], "node2": [two], "node3": []}
    assert clashes == ["d/both in /share on node2 was left out, node1 has one too"]
