"""From a commit to an image: checked, planned and built once; nothing of it left behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from buildpacks.errors import BuildpackError
from receiver import repository
from receiver.builds.trees import MachineBuilder
from receiver.errors import ReceiverError
from receiver.home import settings
from receiver.home.paths import Home
from receiver.ledger.ledger import App
from receiver.runs.cancellation import Cancellation
from receiver.runs.prepare import Prepared, Preparer, Push
from registry.images.trees import Images
from units.launching import Machine
from units.local.engine import LocalEngine

_ENV = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@lab.invalid",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@lab.invalid",
}  # fmt: skip


class Lab:
    """A home with one app, and commits for it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home")
        self.tree = root / "tree"
        self.tree.mkdir()
        self.home.repository("x").parent.mkdir(parents=True)
        repository.create(self.home.repository("hello"))
        self.git("init", "-q")
        self.images = Images(self.home.images)
        self.preparer = self.preparer_with(settings.load(self.home.settings))
        self.cancellation = Cancellation()
        self.said: list[str] = []

    def preparer_with(self, chosen: settings.Settings) -> Preparer:
        builder = MachineBuilder(self.home, chosen, self.images)
        return Preparer(self.home, chosen, builder, LocalEngine(self.home.root, Machine.here()))

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.tree,
            env=_ENV,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        for name, content in files.items():
            (self.tree / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        head = self.git("rev-parse", "HEAD")
        self.git("push", "-q", "--no-verify", str(self.home.repository("hello")), "HEAD:refs/stored/head")
        return head

    def prepare(self, commit: str, **config: str) -> Prepared:
        self.said.clear()
        push = Push(App("hello", config, ""), commit, self.cancellation.descriptor)
        return self.preparer.prepare(push, self.said.append)

    def scratch(self) -> list[Path]:
        return list(self.home.scratch.iterdir()) if self.home.scratch.exists() else []


def tree_of(prepared: Prepared) -> Path:
    assert prepared.image.tree
    return prepared.image.tree


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    assert made.scratch() == []


def test_a_commit_becomes_an_image_of_its_files(lab: Lab) -> None:
    prepared = lab.prepare(lab.commit(profile="echo hello\n", data="1\n"))
    assert (tree_of(prepared) / "data").read_text() == "1\n"
    assert prepared.plan.run_by == "profile"
    assert prepared.seconds.keys() == {"check", "build"}
    assert "profile runs" in lab.said[0]


def test_the_same_tree_is_not_built_again(lab: Lab) -> None:
    first = lab.prepare(lab.commit(profile="echo hello\n"))
    again = lab.prepare(lab.commit())
    assert (again.image, again.plan) == (first.image, first.plan)
    assert any("built before" in line for line in lab.said)
    lab.prepare(lab.commit(profile="echo other\n"))
    assert not any("built before" in line for line in lab.said)


def test_an_image_that_is_gone_is_built_anew(lab: Lab) -> None:
    commit = lab.commit(profile="echo hello\n")
    first = lab.prepare(commit)
    (tree_of(first) / "profile").unlink()
    tree_of(first).rmdir()
    assert (tree_of(lab.prepare(commit)) / "profile").exists()


@pytest.mark.parametrize(
    "text", ["", "{", '{"plan', "[]", "3", '{"plan": "{}"}', '{"plan": 3}', "\udcff", "[" * 100_000]
)
def test_a_record_that_is_damaged_is_written_anew(lab: Lab, text: str) -> None:
    commit = lab.commit(profile="echo hello\n")
    lab.prepare(commit)
    (record,) = lab.home.builds.iterdir()
    record.write_bytes(text.encode(errors="surrogateescape"))
    lab.prepare(commit)
    assert not any("built before" in line for line in lab.said)
    lab.prepare(commit)
    assert any("built before" in line for line in lab.said)


def test_a_record_that_is_a_folder_is_written_anew(lab: Lab) -> None:
    commit = lab.commit(profile="echo hello\n")
    lab.prepare(commit)
    (record,) = lab.home.builds.iterdir()
    record.unlink()
    record.mkdir()
    lab.prepare(commit)
    assert record.is_file()


def test_a_tree_over_the_limit_is_refused_with_its_largest_file(lab: Lab) -> None:
    small = replace(settings.load(lab.home.settings), push_limit=1 << 20)
    lab.preparer = lab.preparer_with(small)
    commit = lab.commit(profile="echo hello\n", big="x" * (2 << 20))
    with pytest.raises(ReceiverError, match="the largest file is big with 2 MB"):
        lab.prepare(commit)
    assert lab.images.digests() == []


def test_a_submodule_is_said_to_stay_behind(lab: Lab) -> None:
    head = lab.commit(profile="echo hello\n")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor")
    lab.git("commit", "-q", "-m", "with a submodule")
    commit = lab.git("rev-parse", "HEAD")
    lab.git("push", "-q", str(lab.home.repository("hello")), "HEAD:refs/stored/other")
    lab.prepare(commit)
    assert any("vendor is a submodule" in line for line in lab.said)


def test_files_that_git_lfs_keeps_are_said_to_stay_behind(lab: Lab) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 12345\n"
    files = {f"data{number}.bin": pointer for number in range(7)}
    lab.prepare(lab.commit(profile="echo hello\n", notes="x" * 200, **files))
    assert not any("LFS" in line for line in lab.said), "a tree without an attribute has no such files"
    commit = lab.commit(**{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    for _ in range(2):  # built, and built before
        lab.prepare(commit)
        said = [line.strip() for line in lab.said if "LFS" in line]
        assert len(said) == 6
        assert said[0].startswith("data0.bin is kept by Git LFS")
        assert said[5] == "so it is with 2 more, kept by Git LFS"


def test_a_tree_of_no_known_kind_is_refused(lab: Lab) -> None:
    with pytest.raises(BuildpackError):
        lab.prepare(lab.commit(notes="nothing"))
    with pytest.raises(BuildpackError):
        lab.prepare(lab.commit(profile=""))


def test_an_empty_commit_tree_is_refused(lab: Lab) -> None:
    with pytest.raises(BuildpackError):
        lab.prepare(lab.commit())


def test_a_dockerfile_says_what_it_needs(lab: Lab) -> None:
    with pytest.raises(ReceiverError, match="needs containers") as caught:
        lab.prepare(lab.commit(Dockerfile="FROM scratch\n"))
    assert "nap up --engine containers" in caught.value.hint


def test_an_app_without_ranks_is_refused_where_only_these_run(lab: Lab) -> None:
    commit = lab.commit(profile="web: ./serve\n", serve="")
    for built in (False, True):
        with pytest.MonkeyPatch.context() as without:
            without.setattr(LocalEngine, "runs_processes", False)
            with pytest.raises(ReceiverError, match="the engine local runs MPI programs only"):
                lab.prepare(commit)
        assert len(lab.images.digests()) == built
        lab.prepare(commit)


@pytest.fixture
def pack(lab: Lab) -> Path:
    """A folder pack that builds nothing, and says how to run."""
    path = lab.home.buildpacks / "mine"
    (path / "bin").mkdir(parents=True)
    (path / "lib").touch()
    (path / "link").symlink_to("lib")
    for name, text in {
        "detect": "echo Mine", "compile": "cp $0 compiled",
        "release": "printf 'default_process_types:\\n  app: echo packed\\n'",
    }.items():  # fmt: skip
        (path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (path / "bin" / name).chmod(0o755)
    return path


def test_a_pack_that_is_new_builds_what_was_built_without_it(lab: Lab, pack: Path, tmp_path: Path) -> None:
    pack.rename(tmp_path / "mine")
    commit = lab.commit(profile="echo hello\n")
    assert lab.prepare(commit).plan.built_by == ""
    (tmp_path / "mine").rename(pack)
    assert lab.prepare(commit, buildpack="mine").plan.built_by == "mine"


def test_a_pack_is_built_with_again_when_its_content_has_changed(lab: Lab, pack: Path) -> None:
    def built_before() -> bool:
        lab.prepare(commit, buildpack="mine")
        return any("built before" in line for line in lab.said)

    commit, program = lab.commit(profile="echo hello\n"), pack / "bin" / "compile"
    assert not built_before()
    times, text = program.stat(), program.read_text()
    program.write_text(text.replace("compiled", "composed"))
    os.utime(program, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not built_before(), "the same size, at the same time"
    assert (tree_of(lab.prepare(commit, buildpack="mine")) / "composed").exists()
    (pack / "lib").chmod(0o755)
    assert not built_before()
    (pack / "lib").rename(pack / "library")
    assert not built_before()
    (pack / "link").unlink()
    (pack / "link").symlink_to("library")
    assert not built_before()
    (pack / ".git").mkdir()
    (pack / ".git" / "index").touch()
    assert built_before(), "what git keeps of a checkout is no part of it"


def test_a_pack_that_cannot_be_read_is_in_no_other_apps_way(lab: Lab, pack: Path) -> None:
    os.mkfifo(pack / "fifo")
    (pack / "loop").symlink_to("loop")
    (pack / "nowhere").symlink_to("nothing")
    assert lab.prepare(lab.commit(**{"mpi.xml": "run: echo x\nhosts: 1\n"})).plan.built_by == ""
