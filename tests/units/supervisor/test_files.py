"""Which of a run's files are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from units.errors import UnitError
from units.supervisor.files import keep_results, remove


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with one slave, whose changed files are in `places/a-slave1/changed`."""
    folder = tmp_path / "run"
    for name in ("share", "places/a-slave1/app", "places/a-slave1/changed"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    return folder


def kept(run: Path, *patterns: str) -> list[str]:
    spec: dict[str, Any] = {
        "labels": {"a-slave1": "slave1"},
        "results": patterns,
        "tree": str(run.parent / "tree"),
    }
    return [str(path.relative_to(run / "results")) for path in keep_results(run, spec)]


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_names_and_folders_stay_as_the_program_made_them(run: Path) -> None:
    write(run / "share" / "out 2026:11:22\n.yaml")
    write(run / "places/a-slave1/changed/out/deep/er.csv")
    assert kept(run, "*.yaml", "out/*/*.csv") == ["share/out 2026:11:22\n.yaml", "slave1/out/deep/er.csv"]


def test_a_folder_stands_for_all_that_is_in_it(run: Path) -> None:
    write(run / "share/out/a")
    write(run / "share/out/deep/b")
    assert kept(run, "out") == ["share/out/a", "share/out/deep/b"]


def test_two_stars_reach_every_depth_and_no_file_is_kept_twice(run: Path) -> None:
    write(run / "share/a.csv")
    write(run / "share/out/b.csv")
    assert kept(run, "**/*.csv", "**", "out") == ["share/a.csv", "share/out/b.csv"]


def test_what_lies_behind_a_link_stays_where_it_is(run: Path) -> None:
    mine = run.parent / "mine"
    write(mine / "thesis.txt")
    (run / "share/out").symlink_to(mine)
    (run / "share/thesis.txt").symlink_to(mine / "thesis.txt")
    assert kept(run, "out/*", "out", "*.txt") == []
    assert (mine / "thesis.txt").exists()


@pytest.mark.parametrize("step", ["share", "places", "places/a-slave1", "places/a-slave1/changed"])
def test_no_step_to_a_result_is_a_link(run: Path, step: str) -> None:
    mine = run.parent / "mine"
    for name in ("thesis.txt", "changed/thesis.txt", "a-slave1/changed/thesis.txt"):
        write(mine / name)
    remove(run / step)
    (run / step).symlink_to(mine)
    assert kept(run, "**/*.txt", "*.txt") == []
    assert len(list(mine.rglob("*.txt"))) == 3


def test_removing_goes_through_no_link(run: Path) -> None:
    mine = run.parent / "mine"
    write(mine / "thesis.txt")
    mine.chmod(0o755)
    (run / "closed").mkdir()
    (run / "closed/link").symlink_to(mine)
    (run / "closed").chmod(0)
    (run / "link").symlink_to(mine)
    remove(run / "link")
    remove(run)
    assert not run.exists()
    assert ((mine / "thesis.txt").read_text(), mine.stat().st_mode & 0o777) == ("x", 0o755)


def test_a_file_that_came_with_the_tree_is_no_result_until_it_is_changed(run: Path) -> None:
    tree, changed = run.parent / "tree", run / "places/a-slave1/changed"
    for folder in (tree, changed):
        write(folder / "same.txt", "as it came")
        os.utime(folder / "same.txt", (1, 1))
    write(tree / "longer.txt", "as it came")
    write(changed / "longer.txt", "and then some more")
    assert kept(run, "*.txt") == ["slave1/longer.txt"]


def nest(folder: Path, levels: int) -> None:
    """Folders in folders, deeper than a path can name."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("level", dir_fd=descriptor)
        inner = os.open("level", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def test_folders_that_a_program_nested_without_end_are_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    nest(tmp_path / "run", 1500)
    remove(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_closed_folders_in_closed_folders_are_removed(tmp_path: Path) -> None:
    inner = tmp_path / "run" / "closed" / "closed"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for folder in (inner, inner.parent):
        folder.chmod(0)
    remove(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_results_in_folders_nested_without_end_are_refused_in_a_sentence(run: Path) -> None:
    nest(run / "share", 1500)
    with pytest.raises(UnitError, match="nested too deep"):
        kept(run, "**/*.txt")
    remove(run)  # pytest could not
