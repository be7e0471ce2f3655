"""A compiled tree becomes a build context in two parts, of which one has the same bytes each time."""

from __future__ import annotations

import os
from pathlib import Path

from receiver.builds.images import layers

LARGE = bytes(1 << 20)


def tree(root: Path, *names: str) -> Path:
    folder = root / "app"
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LARGE if "large" in name else b"x")
    return folder


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_a_small_tree_is_one_part(tmp_path: Path) -> None:
    app = tree(tmp_path, "hello", "src/hello.c")
    context, settled = layers.lay_out(app, layers.large_files(app))
    assert not settled
    assert files(context) == {"program/app/hello", "program/app/src/hello.c"}
    assert not app.exists()


def test_large_files_of_the_commit_and_pythons_libraries_are_settled(tmp_path: Path) -> None:
    app = tree(tmp_path, "a.py", "src/large", "data/large.bin")
    before = layers.large_files(app)
    (app / "src" / "large").rename(app / "large")
    tree(tmp_path, ".python/numpy/large.so", ".python/numpy/x.py", "large-made")
    (app / "data").chmod(0o700)
    context, settled = layers.lay_out(app, before)
    assert settled
    assert files(context / "settled") == {
        "app/large", "app/data/large.bin", "app/.python/numpy/large.so", "app/.python/numpy/x.py",
    }  # fmt: skip
    assert files(context / "program") == {"app/a.py", "app/large-made"}
    assert (context / "settled/app/data").stat().st_mode & 0o777 == 0o700


def test_a_large_file_that_the_build_changed_is_not_settled(tmp_path: Path) -> None:
    app = tree(tmp_path, "large")
    before = layers.large_files(app)
    os.utime(app / "large", (1, 1))
    assert layers.lay_out(app, before)[1] is False


def test_what_is_settled_has_the_same_times_each_time(tmp_path: Path) -> None:
    app = tree(tmp_path, "data/large.bin", ".python/x/y.py")
    (app / ".python/link").symlink_to("x")
    (app / ".python/dangling").symlink_to("nowhere")
    context, _ = layers.lay_out(app, layers.large_files(app))
    root = context / "settled"
    assert {path.lstat().st_mtime for path in root.rglob("*")} == {315532800}


def test_links_stay_where_they_are(tmp_path: Path) -> None:
    app = tree(tmp_path, "large.bin")
    (app / "link").symlink_to("large.bin")
    (app / "src").symlink_to(".")
    context, _ = layers.lay_out(app, layers.large_files(app))
    assert {path.name for path in (context / "program/app").iterdir()} == {"link", "src"}
