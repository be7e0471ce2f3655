"""The app's bare repository, through GitPython: made, configured, looked into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError
from receiver.names import highest_number

if TYPE_CHECKING:
    from git import Repo
    from git.exc import GitCommandError

RELEASED = "refs/heads/released"
_NAMES_AT_ONCE = 1000  # a command line has an end
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_SMALLEST_POINTER, _POINTERS_END = 100, 1024
_MOST_ATTRIBUTES = 1 << 20
DEPLOY_BRANCHES = ("master", "main")
_LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class TreeEntry:
    """A file of a commit: `mode` and `id` as git writes them, `size` in bytes."""

    mode: str
    size: int
    path: str
    id: str = ""

    @property
    def is_submodule(self) -> bool:
        return self.mode == "160000"


@dataclass(frozen=True)
class Commit:
    """A commit and its tree, by their ids."""

    id: str
    tree: str


@contextmanager
def opened(repository: Path, env: Mapping[str, str] | None = None) -> Iterator[Repo]:
    """The repository, with git's quarantine when `env` names one: so new objects are seen.

    By name: one that was removed meanwhile is not looked for in the folders above it.
    """
    from git import GitCmdObjectDB, Repo

    with Repo(repository, odbt=GitCmdObjectDB) as repo:
        repo.git.update_environment(GIT_DIR=str(repository), **_clean(), **(env or {}))
        yield repo


def _clean() -> dict[str, str]:
    """What a hook's environment must not do to other git commands, nor the user's settings."""
    return {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C.UTF-8"}


def create(repository: Path) -> None:
    """A bare repository with nap's hooks, all there or not at all."""
    from git import Repo

    unfinished = repository.with_name(f".{repository.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    # No template: what a user's own one would bring in is not for this repository.
    with Repo.init(unfinished, bare=True, template="", allow_unsafe_options=True) as repo:
        repo.head.reference = repo.head.reference.__class__(repo, RELEASED, check_path=False)
        configure(repo)
    unfinished.rename(repository)


def configure(repo: Repo) -> None:
    """Settings of its own for what a user's global ones would switch off silently."""
    with repo.config_writer() as config:
        config.set_value("core", "hooksPath", "../../hooks")
        config.set_value("core", "logAllRefUpdates", "true")
        config.set_value("receive", "advertisePushOptions", "true")
        config.set_value("receive", "shallowUpdate", "true")
        config.set_value("receive", "autogc", "false")
        config.set_value("transfer", "hideRefs", "refs/nap")
        if config.has_option("receive", "procReceiveRefs"):
            config.remove_option("receive", "procReceiveRefs")
        # Every branch: pre-receive alone says which are deployed, and git takes none past the receiver.
        config.set_value("receive", "procReceiveRefs", "refs/heads")


def peel(repo: Repo, name: str) -> Commit:
    """Return the commit that `name` is, or that it leads to as a tag does. Raise ReceiverError for others."""
    from git.exc import GitCommandError

    try:
        commit, tree = repo.git.rev_parse(f"{name}^{{commit}}", f"{name}^{{tree}}").split()
    except GitCommandError as error:
        raise ReceiverError(
            f"{name[:10]} is no commit{_other_kind(repo, name)}",
            "push a branch, or a tag of a commit: git push nap TAG:refs/heads/master",
        ) from error
    return Commit(commit, tree)


def _other_kind(repo: Repo, name: str) -> str:
    """Return what an object that leads to no commit is instead, to end a sentence; nothing for no object."""
    from git.exc import GitCommandError

    try:
        kind, leads_to = (repo.git.cat_file("-t", each) for each in (name, f"{name}^{{}}"))
    except GitCommandError:
        return ""
    return f", but a tag of a {leads_to}" if kind == "tag" else f", but a {kind}"


def refuse_shallow(repo: Repo, names: Sequence[str]) -> None:
    """Raise ReceiverError when commits before these are missing: git would refuse them or break."""
    from git.exc import GitCommandError

    for first in range(0, len(names), _NAMES_AT_ONCE):
        try:
            repo.git.rev_list("--count", *names[first : first + _NAMES_AT_ONCE], "--not", "--all")
        except GitCommandError as error:
            raise ReceiverError(
                "what was pushed comes from a shallow clone, without the commits before it",
                "git fetch --unshallow, and push again",
            ) from error


def entries(repo: Repo, tree: str) -> list[TreeEntry]:
    listing = repo.git.ls_tree("-r", "-l", "-z", tree)
    return [_entry(line) for line in listing.split("\0") if line]


def _entry(line: str) -> TreeEntry:
    details, _, path = line.partition("\t")
    mode, _, id_, size = details.split()
    return TreeEntry(mode, int(size) if size.isdigit() else 0, path, id_)


def lfs_pointers(repo: Repo, listed: Sequence[TreeEntry]) -> list[str]:
    """The files of a tree that are named in it only: what they hold is on a server of git-lfs."""
    if not any(_has(repo, entry, b"filter=lfs") for entry in listed if _names_filters(entry)):
        return []
    small = (entry for entry in listed if _SMALLEST_POINTER <= entry.size < _POINTERS_END)
    return [entry.path for entry in small if _has(repo, entry, _POINTER)]


def _names_filters(entry: TreeEntry) -> bool:
    return entry.path.rpartition("/")[2] == ".gitattributes" and entry.size < _MOST_ATTRIBUTES


def _has(repo: Repo, entry: TreeEntry, text: bytes) -> bool:
    return text in repo.odb.stream(bytes.fromhex(entry.id)).read()


def check_out(repo: Repo, tree: str, folder: Path) -> None:
    """Write the tree's files into the empty `folder`, without touching the repository's index."""
    from git.exc import GitCommandError

    places = {
        "GIT_DIR": str(repo.git_dir),
        "GIT_WORK_TREE": str(folder),
        "GIT_INDEX_FILE": str(folder.with_name(f"{folder.name}.index")),
    }
    try:
        with repo.git.custom_environment(**places):
            repo.git.read_tree(tree)
            repo.git.checkout_index("--all", f"--prefix={folder}/")
    except GitCommandError as error:
        sentence = f"the tree cannot be checked out: {_last_line(error)}"
        raise ReceiverError(sentence, f"is the disk full? see: df {folder.parents[1]}") from error


def _last_line(error: GitCommandError) -> str:
    """What git said last."""
    whole = str(error.stderr).strip().removeprefix("stderr: ").strip("'")
    said = "".join(whole.splitlines()[-1:])
    return said.removeprefix("error: ").removeprefix("fatal: ")


def tidy(repo: Repo) -> None:
    """Pack the objects when git finds that there are many; git itself is told not to after a push."""
    from git.exc import GitCommandError

    try:
        repo.git.gc("--auto", "--quiet")
    except GitCommandError as error:
        raise ReceiverError(f"git gc: {error.stderr.strip()}") from error


def record(repo: Repo, number: int, commit: str) -> None:
    """Keep the commit of run `number`, and move the branch that a clone sees: both or neither.

    A daemon that was killed may have done it already, and the branch may have gone on since.
    """
    from git.exc import GitCommandError

    try:
        _update(repo, f"create refs/nap/{number} {commit}", f"update {RELEASED} {commit}")
    except GitCommandError as error:
        if not repo.git.for_each_ref(f"refs/nap/{number}"):
            hint = f"is the disk full? see: df {repo.git_dir}"
            raise ReceiverError(f"the commit cannot be kept: {_last_line(error)}", hint) from error


def _update(repo: Repo, *commands: str) -> None:
    """All of these changes of references, or none."""
    with os.fdopen(os.memfd_create("references"), "w+b") as file:
        file.write("".join(f"{command}\n" for command in commands).encode())
        file.seek(0)
        repo.git.update_ref("--stdin", istream=file)


def last_recorded(repo: Repo) -> int:
    """The highest number of a run whose commit is kept; 0 for none."""
    names = repo.git.for_each_ref("--format=%(refname:lstrip=2)", "refs/nap").split()
    return highest_number(names)


def subject(repo: Repo, commit: str) -> str:
    """The first line of a commit's message, not without end; empty for what has none."""
    from git.exc import GitCommandError

    try:
        line = str(repo.git.log("-1", "--format=%s", commit, "--"))
    except GitCommandError:
        return ""
    return line.encode("utf-8", "replace").decode()[:_LONGEST_SUBJECT]


def sweep(env: Mapping[str, str]) -> None:
    """Remove a push's quarantine once its receive-pack has ended: one that was killed leaves it."""
    if quarantine := env.get("GIT_QUARANTINE_PATH"):
        shutil.rmtree(quarantine, ignore_errors=True)
