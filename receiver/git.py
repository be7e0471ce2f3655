"""The app's bare repository, through GitPython: made, configured, looked into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError

if TYPE_CHECKING:
    from git import Repo

RELEASED = "refs/heads/released"
DEPLOY_BRANCHES = ("master", "main")


@dataclass(frozen=True)
class Entry:
    """A file of a commit: `mode` as git writes it, `size` in bytes."""

    mode: str
    size: int
    path: str

    @property
    def is_submodule(self) -> bool:
        return self.mode == "160000"


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


def tree_id(repo: Repo, commit: str) -> str:
    """The tree of a commit; ReceiverError for what is no commit."""
    from git.exc import GitCommandError

    try:
        return str(repo.git.rev_parse("--verify", f"{commit}^{{tree}}"))
    except GitCommandError as error:
        raise ReceiverError(
            f"{commit[:10]} is no commit whose files could be checked out", "git push nap master"
        ) from error


def refuse_shallow(repo: Repo, commit: str) -> None:
    """ReceiverError when commits before this one are missing: git would not take it, or break over it."""
    from git.exc import GitCommandError

    try:
        repo.git.rev_list("--count", commit, "--not", "--all")
    except GitCommandError as error:
        raise ReceiverError(
            f"{commit[:10]} comes from a shallow clone, without the commits before it",
            "git fetch --unshallow, and push again",
        ) from error


def entries(repo: Repo, tree: str) -> list[Entry]:
    listing = repo.git.ls_tree("-r", "-l", "-z", tree)
    return [_entry(line) for line in listing.split("\0") if line]


def _entry(line: str) -> Entry:
    details, _, path = line.partition("\t")
    mode, _, _, size = details.split()
    return Entry(mode, int(size) if size.isdigit() else 0, path)


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
        said = "".join(str(error.stderr).strip().strip("'").splitlines()[-1:])
        sentence = f"the tree cannot be checked out: {said.removeprefix('error: ')}"
        raise ReceiverError(sentence, f"is the disk full? see: df {folder.parents[1]}") from error


def tidy(repo: Repo) -> None:
    """Pack the objects when git finds that there are many; git itself is told not to after a push."""
    from git.exc import GitCommandError

    try:
        repo.git.gc("--auto", "--quiet")
    except GitCommandError as error:
        raise ReceiverError(f"git gc: {error.stderr.strip()}") from error


def record(repo: Repo, number: int, commit: str) -> None:
    """Keep the commit of run `number`, and move the branch that a clone sees."""
    if not _is_recorded(repo, number):
        repo.git.update_ref(RELEASED, commit)
        repo.git.update_ref(f"refs/nap/{number}", commit)


def _is_recorded(repo: Repo, number: int) -> bool:
    """A daemon that was killed may have had no time for it, and the branch may have gone on since."""
    return bool(repo.git.for_each_ref(f"refs/nap/{number}"))


def sweep(env: Mapping[str, str]) -> None:
    """Remove a push's quarantine once its receive-pack has ended: one that was killed leaves it."""
    if quarantine := env.get("GIT_QUARANTINE_PATH"):
        shutil.rmtree(quarantine, ignore_errors=True)
