"""An app's bare repository, through GitPython: creation, configuration and queries."""

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
_NAMES_AT_ONCE = 1000  # the kernel limits the length of a command line
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_SMALLEST_POINTER, _POINTERS_END = 100, 1024
_MOST_ATTRIBUTES = 1 << 20
DEPLOY_BRANCHES = ("master", "main")
_LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class TreeEntry:
    """A file of a commit: `mode` and `id` as git prints them, `size` in bytes."""

    mode: str
    size: int
    path: str
    id: str = ""

    @property
    def is_submodule(self) -> bool:
        return self.mode == "160000"


@dataclass(frozen=True)
class Commit:
    id: str
    tree: str


@contextmanager
def opened(repository: Path, env: Mapping[str, str] | None = None) -> Iterator[Repo]:
    """Yield the repository. `env` can name git's quarantine, which makes a push's new objects visible.

    GIT_DIR is set: without it, git would search the parent folders if the repository was just removed.
    """
    from git import GitCmdObjectDB, Repo

    with Repo(repository, odbt=GitCmdObjectDB) as repo:
        repo.git.update_environment(GIT_DIR=str(repository), **_clean(), **(env or {}))
        yield repo


def _clean() -> dict[str, str]:
    """Return variables that shield git commands from system and user settings, and from the locale."""
    return {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C.UTF-8"}


def create(repository: Path) -> None:
    """Create a bare repository with nap's hooks, completely or not at all."""
    from git import Repo

    unfinished = repository.with_name(f".{repository.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    # No template: a user's own template could add hooks and files.
    with Repo.init(unfinished, bare=True, template="", allow_unsafe_options=True) as repo:
        repo.head.reference = repo.head.reference.__class__(repo, RELEASED, check_path=False)
        configure(repo)
    unfinished.rename(repository)


def configure(repo: Repo) -> None:
    """Set in the repository what a user's global git settings could silently switch off."""
    with repo.config_writer() as config:
        config.set_value("core", "hooksPath", "../../hooks")
        config.set_value("core", "logAllRefUpdates", "true")
        config.set_value("receive", "advertisePushOptions", "true")
        config.set_value("receive", "shallowUpdate", "true")
        config.set_value("receive", "autogc", "false")
        config.set_value("transfer", "hideRefs", "refs/nap")
        if config.has_option("receive", "procReceiveRefs"):
            config.remove_option("receive", "procReceiveRefs")
        # All branches: pre-receive alone decides which are deployed, and git leaves them all to proc-receive.
        config.set_value("receive", "procReceiveRefs", "refs/heads")


def peel(repo: Repo, name: str) -> Commit:
    """Return the commit that `name` is, or that a tag leads to. Raise ReceiverError for other objects."""
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
    """Return the end of a sentence: the object's kind; empty when there is no such object."""
    from git.exc import GitCommandError

    try:
        kind, leads_to = (repo.git.cat_file("-t", each) for each in (name, f"{name}^{{}}"))
    except GitCommandError:
        return ""
    return f", but a tag of a {leads_to}" if kind == "tag" else f", but a {kind}"


def refuse_shallow(repo: Repo, names: Sequence[str]) -> None:
    """Raise ReceiverError when ancestors of these commits are missing: git would refuse them or fail."""
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
    """Return the paths of Git LFS pointer files: their content is on an LFS server, not in the repository."""
    if not any(_has(repo, entry, b"filter=lfs") for entry in listed if _names_filters(entry)):
        return []
    small = (entry for entry in listed if _SMALLEST_POINTER <= entry.size < _POINTERS_END)
    return [entry.path for entry in small if _has(repo, entry, _POINTER)]


def _names_filters(entry: TreeEntry) -> bool:
    return entry.path.rpartition("/")[2] == ".gitattributes" and entry.size < _MOST_ATTRIBUTES


def _has(repo: Repo, entry: TreeEntry, text: bytes) -> bool:
    return text in repo.odb.stream(bytes.fromhex(entry.id)).read()


def check_out(repo: Repo, tree: str, folder: Path) -> None:
    """Write the tree's files into the empty `folder`, without using the repository's index.

    Raise ReceiverError when that fails.
    """
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
    """Return the last line of git's error output, without its prefix."""
    whole = str(error.stderr).strip().removeprefix("stderr: ").strip("'")
    said = "".join(whole.splitlines()[-1:])
    return said.removeprefix("error: ").removeprefix("fatal: ")


def tidy(repo: Repo) -> None:
    """Pack the objects when git finds too many. `receive.autogc` is off, so a push does not do it.

    Raise ReceiverError when git fails.
    """
    from git.exc import GitCommandError

    try:
        repo.git.gc("--auto", "--quiet")
    except GitCommandError as error:
        raise ReceiverError(f"git gc: {error.stderr.strip()}") from error


def record(repo: Repo, number: int, commit: str) -> None:
    """Keep the commit of run `number`, and move the branch that a clone sees: both or neither.

    If a killed daemon kept the commit before, do nothing: the branch can have moved on since. Raise
    ReceiverError when the commit cannot be kept.
    """
    from git.exc import GitCommandError

    try:
        _update(repo, f"create refs/nap/{number} {commit}", f"update {RELEASED} {commit}")
    except GitCommandError as error:
        if not repo.git.for_each_ref(f"refs/nap/{number}"):
            hint = f"is the disk full? see: df {repo.git_dir}"
            raise ReceiverError(f"the commit cannot be kept: {_last_line(error)}", hint) from error


def _update(repo: Repo, *commands: str) -> None:
    """Apply these changes of references in one transaction."""
    with os.fdopen(os.memfd_create("references"), "w+b") as file:
        file.write("".join(f"{command}\n" for command in commands).encode())
        file.seek(0)
        repo.git.update_ref("--stdin", istream=file)


def last_recorded(repo: Repo) -> int:
    """Return the highest run number whose commit is kept; 0 for none."""
    names = repo.git.for_each_ref("--format=%(refname:lstrip=2)", "refs/nap").split()
    return highest_number(names)


def subject(repo: Repo, commit: str) -> str:
    """Return the first line of a commit's message, at most 200 characters; empty for an unknown commit."""
    from git.exc import GitCommandError

    try:
        line = str(repo.git.log("-1", "--format=%s", commit, "--"))
    except GitCommandError:
        return ""
    return line.encode("utf-8", "replace").decode()[:_LONGEST_SUBJECT]


def sweep(env: Mapping[str, str]) -> None:
    """Remove a push's quarantine after its receive-pack has ended: a killed receive-pack leaves it behind."""
    if quarantine := env.get("GIT_QUARANTINE_PATH"):
        shutil.rmtree(quarantine, ignore_errors=True)
