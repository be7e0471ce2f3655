"""What programs leave in their folders and archives leads nowhere else."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from units.globs import fits
from units.nofollow import Folder, NoArchive, unpack


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is not the program's; the folder beside it, `in`, is."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret").write_text("s")
    return tmp_path / "out"


@pytest.fixture
def inside(outside: Path) -> Path:
    return outside.with_name("in")


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    written.seek(0)
    return written


def member(
    name: str, kind: bytes = tarfile.REGTYPE, to: str = "", content: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mtime, made.mode = kind, to, 1_000_000_000, 0o4777
    return made, content.encode()


def unpacked(inside: Path, *members: tuple[tarfile.TarInfo, bytes]) -> list[str]:
    """What was left out."""
    return [str(path) for path in unpack(archive(*members), inside, lambda _: True)]


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_of_an_archive_come_with_their_folders_times_and_modes(inside: Path) -> None:
    assert unpacked(inside, member("./a/b c\n", content="x"), member("d", tarfile.DIRTYPE)) == []
    found = (inside / "a/b c\n").stat()
    assert ((inside / "a/b c\n").read_text(), found.st_mtime) == ("x", 1_000_000_000)
    assert found.st_mode & 0o7777 == 0o755
    assert everything(inside) == ["a", "a/b c\n"]


@pytest.mark.parametrize("name", ["../out/secret", "a/../../out/new", "/tmp/nap-absolute", "a/.."])
def test_a_name_that_leads_out_is_left_out(inside: Path, outside: Path, name: str) -> None:
    assert unpacked(inside, member(name, content="x"), member("good", content="y")) == [name]
    assert (everything(inside), everything(outside)) == (["good"], ["secret"])
    assert (outside / "secret").read_text() == "s"
    assert not Path("/tmp/nap-absolute").exists()


@pytest.mark.parametrize(
    ("kind", "to"),
    [
        (tarfile.SYMTYPE, "../out"),
        (tarfile.LNKTYPE, "../out/secret"),
        (tarfile.LNKTYPE, "good"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
    ],
)
def test_links_devices_and_pipes_of_an_archive_are_not_made(
    inside: Path, outside: Path, kind: bytes, to: str
) -> None:
    members = member("good", content="y"), member("bad", kind, to), member("bad/new", content="x")
    assert unpacked(inside, *members) == ["bad"]
    assert everything(inside) == ["bad", "bad/new", "good"]
    assert everything(outside) == ["secret"]


@pytest.mark.parametrize("name", ["link/new", "file"])
def test_links_that_are_there_already_are_not_followed(inside: Path, outside: Path, name: str) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    if name == "file":
        unpacked(inside, member(name, content="x"))
        assert not (inside / "file").is_symlink()
    else:
        with pytest.raises(OSError, match="Not a directory"):
            unpacked(inside, member(name, content="x"))
    assert (everything(outside), (outside / "secret").read_text()) == (["secret"], "s")


def test_only_what_is_wanted_is_taken_of_an_archive(inside: Path) -> None:
    members = member("a", content="x"), member("b", content="x"), member("c", tarfile.SYMTYPE, "a")
    assert unpack(archive(*members), inside, lambda path: path.name == "a") == []
    assert everything(inside) == ["a"]


@pytest.mark.parametrize("cut", [0, 100, 700])
def test_an_archive_that_is_cut_is_told_of(inside: Path, cut: int) -> None:
    whole = archive(member("a", content="x" * 2000)).getvalue()
    with pytest.raises(NoArchive):
        unpack(io.BytesIO(whole[:cut]), inside, lambda _: True)


STEPS: dict[str, Callable[[Folder], object]] = {
    "enter": lambda folder: folder.enter(PurePath("link/deep")),
    "make": lambda folder: folder.enter(PurePath("link/deep/new"), make=True),
    "leave": lambda folder: folder.enter(PurePath("../out")),
    "write": lambda folder: folder.write(PurePath("link/deep/new"), io.BytesIO(b"x"), 0o600, 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_no_step_leads_through_a_link(inside: Path, outside: Path, step: str) -> None:
    (outside / "deep").mkdir()
    (inside / "link").symlink_to(outside)
    with Folder.at(inside) as folder, pytest.raises(OSError, match=r"Not a directory|leaves the folder"):
        STEPS[step](folder)
    assert everything(outside) == ["deep", "secret"]


def test_a_folder_that_is_a_link_is_not_opened(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    with pytest.raises(OSError, match="Not a directory"):
        Folder.at(inside / "link")


def test_a_walk_sees_files_alone_and_goes_through_no_link(inside: Path, outside: Path) -> None:
    (inside / "link").symlink_to(outside)
    (inside / "secret").symlink_to(outside / "secret")
    os.mkfifo(inside / "pipe")
    (inside / "deep").mkdir()
    (inside / "deep/file").touch()
    with Folder.at(inside) as folder:
        found = [str(content.path / name) for content in folder.walk() for name in content.files]
    assert found == ["deep/file"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_open_folders_are_closed_again(inside: Path) -> None:
    (inside / "a/b").mkdir(parents=True)
    before = open_files()
    with Folder.at(inside) as folder:
        list(folder.walk())
        folder.open_up()
        with pytest.raises(FileNotFoundError):
            folder.enter(PurePath("a/b/c"))
    assert open_files() == before


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("*.csv", {"a.csv"}),
        ("out", {"out/b.csv", "out/deep/c.csv", "out/deep/note"}),
        ("out/", {"out/b.csv", "out/deep/c.csv", "out/deep/note"}),
        ("out/*.csv", {"out/b.csv"}),
        ("out/*", {"out/b.csv", "out/deep/c.csv", "out/deep/note"}),
        ("**/*.csv", {"a.csv", "out/b.csv", "out/deep/c.csv"}),
        ("**/deep/**", {"out/deep/c.csv", "out/deep/note"}),
        ("**", {"a.csv", "out/b.csv", "out/deep/c.csv", "out/deep/note"}),
        (".", {"a.csv", "out/b.csv", "out/deep/c.csv", "out/deep/note"}),
        ("o?t/[!x]eep/note", {"out/deep/note"}),
        ("a.csv/*", set()),
        ("*.CSV", set()),
    ],
)
def test_a_pattern_names_files_and_folders_for_all_in_them(pattern: str, fitting: set[str]) -> None:
    paths = ("a.csv", "out/b.csv", "out/deep/c.csv", "out/deep/note")
    assert {path for path in paths if fits(PurePath(path), [pattern])} == fitting


def test_a_pattern_of_many_stars_takes_no_longer_than_others() -> None:
    assert not fits(PurePath("/".join("a" * 200)), ["/".join(["**", "a"] * 60) + "/b"])
