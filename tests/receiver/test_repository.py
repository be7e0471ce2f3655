"""The app's repository, against real git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from receiver import repository as git
from receiver.errors import ReceiverError

if TYPE_CHECKING:
    from git import Repo

_ENV = {
    "PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@lab.invalid",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@lab.invalid",
}  # fmt: skip


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_ENV, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repos" / "hello.git"
    path.parent.mkdir()
    git.create(path)
    return path


@pytest.fixture
def repo(repository: Path) -> Iterator[Repo]:
    with git.opened(repository) as opened:
        yield opened


@pytest.fixture
def commit(repository: Path, tmp_path: Path) -> str:
    """Of a file, a program and a link, in the repository without a hook's doing."""
    tree = tmp_path / "tree"
    tree.mkdir()
    run(tree, "init", "-q")
    (tree / "ä file").write_text("text\n")
    (tree / "program").write_text("#!/bin/sh\n")
    (tree / "program").chmod(0o755)
    (tree / "link").symlink_to("program")
    run(tree, "add", "-A")
    run(tree, "commit", "-q", "-m", "one")
    run(repository, "fetch", "-q", str(tree), "HEAD")
    return run(tree, "rev-parse", "HEAD")


def test_a_new_repository_has_its_own_settings(repository: Path) -> None:
    def config(name: str) -> str:
        return run(repository, "config", "--local", "--get-all", name)

    assert config("core.hooksPath") == "../../hooks"
    assert config("receive.advertisePushOptions") == "true"
    assert config("receive.procReceiveRefs") == "refs/heads"
    assert run(repository, "symbolic-ref", "HEAD") == "refs/heads/released"


def test_no_branch_gets_past_the_receiver_in_a_repository_of_an_older_nap(
    repository: Path, repo: Repo
) -> None:
    run(repository, "config", "receive.procReceiveRefs", "refs/heads/master")
    git.configure(repo)
    assert run(repository, "config", "--get-all", "receive.procReceiveRefs") == "refs/heads"


def test_a_template_of_the_users_is_not_for_this_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "template" / "hooks").mkdir(parents=True)
    (tmp_path / "template" / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    git.create(tmp_path / "x.git")
    assert not (tmp_path / "x.git" / "hooks").exists()


def test_what_an_interrupted_create_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".x.git.new" / "objects").mkdir(parents=True)
    git.create(tmp_path / "x.git")
    assert [path.name for path in tmp_path.iterdir()] == ["x.git"]


def test_a_tree_is_checked_out_as_it_was(repo: Repo, commit: str, tmp_path: Path) -> None:
    tree = git.peel(repo, commit).tree
    folder = tmp_path / "out" / "app"
    folder.mkdir(parents=True)
    git.check_out(repo, tree, folder)
    assert (folder / "ä file").read_text() == "text\n"
    assert (folder / "program").stat().st_mode & 0o100
    assert (folder / "link").readlink() == Path("program")
    assert not (Path(repo.git_dir) / "index").exists()


def test_entries_have_sizes_and_names(repo: Repo, commit: str) -> None:
    entries = {entry.path: entry for entry in git.entries(repo, git.peel(repo, commit).tree)}
    assert {name: entry.size for name, entry in entries.items()} == {"ä file": 5, "program": 10, "link": 7}
    assert entries["link"].mode == "120000"


def test_a_folder_that_cannot_be_written_is_an_error_in_a_sentence(
    repo: Repo, commit: str, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(ReceiverError, match="the tree cannot be checked out: ") as caught:
        git.check_out(repo, git.peel(repo, commit).tree, tmp_path / "out" / "app")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["0" * 40, "1" * 40, "nothing"])
def test_what_is_no_commit_is_refused(repo: Repo, name: str) -> None:
    with pytest.raises(ReceiverError, match="is no commit"):
        git.peel(repo, name)


def test_a_tag_of_a_tag_leads_to_its_commit(repository: Path, repo: Repo, commit: str) -> None:
    run(repository, "tag", "-a", "v1", "-m", "one", commit)
    run(repository, "tag", "-a", "v2", "-m", "a tag of it", "v1")
    assert git.peel(repo, run(repository, "rev-parse", "v2")) == git.peel(repo, commit)
    assert git.peel(repo, commit).id == commit


@pytest.mark.parametrize(("spec", "kind"), [("^{tree}", "tree"), (":link", "blob")])
def test_what_is_pushed_instead_of_a_commit_is_named(
    repository: Path, repo: Repo, commit: str, spec: str, kind: str
) -> None:
    named = run(repository, "rev-parse", f"{commit}{spec}")
    run(repository, "tag", "-a", "odd", "-m", "odd", named)
    for name, told in ((named, f"a {kind}"), ("odd", f"a tag of a {kind}")):
        with pytest.raises(ReceiverError, match=f"is no commit, but {told}$"):
            git.peel(repo, run(repository, "rev-parse", name))


def test_a_run_keeps_its_commit_and_moves_what_a_clone_sees(
    repository: Path, repo: Repo, commit: str
) -> None:
    git.record(repo, 7, commit)
    refs = run(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    assert refs == [f"refs/heads/released {commit}", f"refs/nap/7 {commit}"]


def test_recording_a_run_again_moves_nothing_back(repository: Path, repo: Repo, commit: str) -> None:
    git.record(repo, 1, commit)
    newer = run(repository, "commit-tree", git.peel(repo, commit).tree, "-m", "newer")
    git.record(repo, 2, newer)
    git.record(repo, 1, commit)
    assert run(repository, "rev-parse", "released") == newer


def test_a_whole_history_is_no_shallow_one(repository: Path, repo: Repo, commit: str) -> None:
    run(repository, "tag", "-a", "file", "-m", "of a file", f"{commit}:link")
    git.refuse_shallow(repo, (commit, run(repository, "rev-parse", "file")))


def test_a_history_without_its_beginning_is_refused(repository: Path, repo: Repo, commit: str) -> None:
    tree = git.peel(repo, commit).tree
    text = f"tree {tree}\nparent {'1' * 40}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n"
    cut_off = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=repository, input=text, env=_ENV,
        check=True, capture_output=True, text=True, timeout=30,
    ).stdout.strip()  # fmt: skip
    with pytest.raises(ReceiverError, match="comes from a shallow clone") as caught:
        git.refuse_shallow(repo, (*(commit,) * 1500, cut_off))
    assert "git fetch --unshallow" in caught.value.hint


def test_what_a_killed_receive_pack_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "tmp_objdir-incoming-x"
    (left / "pack").mkdir(parents=True)
    git.sweep({"GIT_QUARANTINE_PATH": str(left)})
    assert not left.exists()
    git.sweep({})


def test_a_repository_that_is_gone_is_not_looked_for_above_it(
    repository: Path, commit: str, tmp_path: Path
) -> None:
    run(tmp_path, "init", "-q")
    run(tmp_path, "fetch", "-q", str(repository), commit)
    from git.exc import GitCommandError

    with git.opened(repository) as repo:
        shutil.rmtree(repository / "refs")
        with pytest.raises(GitCommandError):
            git.record(repo, 1, commit)
    assert run(tmp_path, "for-each-ref") == ""


def test_the_last_recorded_run_and_a_commits_subject_are_told(repo: Repo, commit: str) -> None:
    assert (git.last_recorded(repo), git.subject(repo, commit)) == (0, "one")
    for number in (2, 10):
        git.record(repo, number, commit)
    assert git.last_recorded(repo) == 10
    assert git.subject(repo, "0" * 40) == ""


def test_what_cannot_be_recorded_is_said_and_nothing_is_changed(repo: Repo) -> None:
    with pytest.raises(ReceiverError, match="the commit cannot be kept"):
        git.record(repo, 1, "0" * 39 + "1")
    assert repo.git.for_each_ref() == ""
