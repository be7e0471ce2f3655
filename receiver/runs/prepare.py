"""From a commit to an image: check, detect, plan and build, or reuse the result of the same inputs."""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildpacks.build import Folders
from buildpacks.detect import describe, detect
from buildpacks.packs import folder
from buildpacks.plan import Plan, from_json, to_json
from buildpacks.stacks.stack import Stack
from receiver import repository
from receiver.builds.builder import Builder, Work
from receiver.builds.packs import enclosing
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.home.settings import Settings
from receiver.ledger.ledger import App, Run
from receiver.runs import jobs
from receiver.text.output import Say
from receiver.version import VERSION
from registry.images.trees import Image
from units.engine import Engine
from units.supervisor.files import remove

if TYPE_CHECKING:
    from git import Repo


_FILES_NAMED = 5


@dataclass(frozen=True)
class Push:
    """One commit for one app. `env` names git's quarantine while the commit is not in the repository yet.

    `commit` can be a tag that leads to a commit. `tags` are the ids of tags in the same push.
    `cancelled` is a file descriptor that becomes readable when the image is no longer wanted.
    """

    app: App
    commit: str
    cancelled: int
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class Prepared:
    """A prepared commit. `seconds` by phase (check, build); `is_new` if its image was just built."""

    commit: str
    plan: Plan
    image: Image
    stack: Stack
    seconds: dict[str, float]
    is_new: bool


class Preparer:
    """Makes images of commits. Threads can use it at the same time."""

    def __init__(self, home: Home, settings: Settings, builder: Builder, engine: Engine) -> None:
        self._home = home
        self._settings = settings
        self._builder = builder
        self._engine = engine

    def prepare(self, push: Push, say: Say) -> Prepared:
        """Check the commit and build or reuse its image. Every error in the pushed files is raised here."""
        started = time.monotonic()
        with repository.opened(self._home.repository(push.app.name), push.env) as repo:
            commit = repository.peel(repo, push.commit)
            push = replace(push, commit=commit.id)
            if push.env:
                repository.refuse_shallow(repo, (push.commit, *push.tags))
            entries = repository.entries(repo, commit.tree)
            self._check_size(entries)
            _say_what_stays_behind(repo, entries, say)
            record = self._home.builds / f"{self._inputs(commit.tree, push.app)}.json"
            if known := self._known(record, say):
                plan, image, stack = known
                self.refuse(plan, push.app.name, push.options)
                say(f"-----> {describe(plan)}")
                say(f"       built before: {image.digest[:19]}")
                seconds = {"check": time.monotonic() - started, "build": 0.0}
                return Prepared(push.commit, plan, image, stack, seconds, is_new=False)
            with self._checked_out(repo, commit.tree) as tree:
                return self._build(push, tree, record, started, say)

    def _check_size(self, entries: list[repository.TreeEntry]) -> None:
        size, limit = sum(entry.size for entry in entries), self._settings.push_limit
        if size > limit:
            largest = max(entries, key=lambda entry: entry.size)
            raise ReceiverError(
                f"the tree has {_mega(size)}, more than the {_mega(limit)} that may be pushed; "
                f"the largest file is {largest.path} with {_mega(largest.size)}",
                "leave data out of the repository, or raise push_limit in the receiver's settings",
            )

    def _inputs(self, tree_id: str, app: App) -> str:
        """Return a digest of all inputs of a build except the stack, which `_known` compares.

        The app's name is one of them: a container image is named after its app.
        """
        packs = [(pack.name, folder.digest(pack.path)) for pack in folder.packs(self._pack_folders())]
        # A plan kept by an older nap lacks fields that plans got since.
        known = [each.name for each in fields(Plan)]
        inputs = (VERSION, known, app.name, tree_id, app.config.get("buildpack"), packs, self._settings.maven)
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:40]

    def _pack_folders(self) -> list[Path]:
        return sorted(path for path in self._home.buildpacks.glob("*") if path.is_dir())

    def refuse(self, plan: Plan, app: str, options: Mapping[str, str]) -> None:
        """Raise ReceiverError or BuildpackError if the plan cannot run here with these options.

        Called before anything is changed.
        """
        if plan.manifest is None and not self._engine.runs_processes:
            raise ReceiverError(
                f"the engine {self._engine.name} runs MPI programs only, so far, "
                f"and this app runs its {plan.run_by or 'own command'}",
                "a home of its own for it: NAP_HOME=FOLDER nap up --engine containers",
            )
        jobs.check_options(plan, options)
        run = Run(app, 0, "", options=dict(options))
        if never := self._engine.never_fits(jobs.sketch(self._home, run, plan)):
            raise ReceiverError(never, "ask for less, or add machines: nap nodes")

    def _known(self, record: Path, say: Say) -> tuple[Plan, Image, Stack] | None:
        """Return the earlier result of the same inputs, if its image exists and its stack is unchanged."""
        if (built := _read(record)) is None:
            return None
        plan, image_digest, key = built
        with ThreadPoolExecutor(1) as beside:  # both can need a call to the container runtime
            found = beside.submit(self._builder.find, image_digest, say)
            stack = self._builder.stack(plan, say)
            if key != stack.key:
                return None
            image = found.result()
        return (plan, image, stack) if image else None

    @contextmanager
    def _checked_out(self, repo: Repo, tree_id: str) -> Iterator[Path]:
        self._home.scratch.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self._home.scratch))
        tree = scratch / "app"
        tree.mkdir(mode=0o755)
        try:
            repository.check_out(repo, tree_id, tree)
            yield tree
        except (OSError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                raise
            sentence = "the tree, or what its build left, has folders that are nested too deep"
            raise ReceiverError(sentence, "some hundred levels are taken: does a script run away?") from error
        finally:
            remove(scratch)

    def _build(self, push: Push, tree: Path, record: Path, started: float, say: Say) -> Prepared:
        chosen = push.app.config.get("buildpack")
        pack = detect(tree, self._pack_folders(), chosen, enclosing(self._home))
        plan = pack.plan(tree)
        say(f"-----> {describe(plan)}")
        self.refuse(plan, push.app.name, push.options)
        stack = self._builder.stack(plan, say)
        checked = time.monotonic()
        if stack.flavour != "plain":
            say(f"-----> {stack.title} ({stack.origin})")
        cache = self._home.cache(push.app.name)
        folders = Folders(tree, cache, tree.with_name("env"))
        work = Work(push.app.name, record.stem, folders, lambda line: say(f"       {line}"), push.cancelled)
        image, completed = self._builder.build(pack, plan, stack, work)
        self._remember(record, completed, image, stack)
        seconds = {"check": checked - started, "build": time.monotonic() - checked}
        return Prepared(push.commit, completed, image, stack, seconds, is_new=True)

    def _remember(self, record: Path, plan: Plan, image: Image, stack: Stack) -> None:
        self._home.builds.mkdir(exist_ok=True)
        unfinished = record.with_suffix(f".{image.digest[-8:]}.new")
        unfinished.write_text(json.dumps({"plan": to_json(plan), "image": image.digest, "stack": stack.key}))
        if record.is_dir():
            remove(record)
        unfinished.replace(record)


def _read(record: Path) -> tuple[Plan, str, str] | None:
    """Return the plan, the image's digest and the stack's key; None for a missing or damaged record."""
    try:
        found = json.loads(record.read_bytes())
        plan, image, key = from_json(found["plan"]), found["image"], found["stack"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (plan, image, key) if isinstance(image, str) and isinstance(key, str) else None


def _say_what_stays_behind(repo: Repo, entries: list[repository.TreeEntry], say: Say) -> None:
    for entry in entries:
        if entry.is_submodule:
            say(f"       {entry.path} is a submodule: its files do not come with a push")
    pointers = repository.lfs_pointers(repo, entries)
    for path in pointers[:_FILES_NAMED]:
        say(f"       {path} is kept by Git LFS: its content does not come with a push, only a pointer")
    if more := pointers[_FILES_NAMED:]:
        say(f"       so it is with {len(more)} more, kept by Git LFS")


def _mega(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"
