"""Choose what builds a tree and what runs it: in each case the first in the list that can."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from buildpacks import layout
from buildpacks.errors import BuildpackError
from buildpacks.packs import folder, profile
from buildpacks.packs.contract import BuildSide, HowToBuild, HowToRun, RunSide
from buildpacks.packs.dockerfile import Dockerfile
from buildpacks.packs.maven import Maven
from buildpacks.packs.mpi import Mpi
from buildpacks.plan import Plan

BUILDERS: tuple[BuildSide, ...] = (Dockerfile(), Maven(), Mpi())
_NAMES = ("Dockerfile", "pom.xml", "mpi.xml", *profile.NAMES)
_NEAR = 0.8  # `mpi.yml` is, `io.xml` is not
_FILES = "Dockerfile, pom.xml, mpi.xml, profile (or Procfile)"


class Buildpack(Protocol):
    """The builder and runner of one kind of tree."""

    @property
    def name(self) -> str:
        """The name of the file or pack that was recognized."""

    def plan(self, tree: Path) -> Plan:
        """Return how `tree` is built and run. Raise BuildpackError when something in it is wrong."""

    def release(self, tree: Path, plan: Plan) -> Plan:
        """Return the plan, completed with what is known only from the built `tree`."""


class Profile:
    """The running half of a profile."""

    def runs(self, tree: Path) -> bool:
        """Return whether `tree` has a profile."""
        return profile.find(tree) is not None

    def run(self, tree: Path, _compiles: bool) -> HowToRun:
        """Return the profile's processes."""
        name = profile.find(tree) or profile.NAMES[0]
        return HowToRun(name, processes=profile.read(tree, name))


RUNNERS: tuple[RunSide, ...] = (Mpi(), Profile())


@dataclass(frozen=True)
class Composed:
    """A buildpack made of a builder and a runner; at most one of them is None."""

    builder: BuildSide | None
    runner: RunSide | None

    @property
    def name(self) -> str:
        """The builder's name, or `profile` without a builder."""
        return self.builder.name if self.builder else profile.NAMES[0]

    def plan(self, tree: Path) -> Plan:
        """Return how `tree` is built and run. Raise BuildpackError when something in it is wrong."""
        layout.check(tree)
        run = self.runner.run(tree, self._compiles) if self.runner else HowToRun()
        build = self.builder.build(tree, run.manifest) if self.builder else HowToBuild()
        return Plan(
            built_by=build.built_by,
            run_by=run.run_by,
            stack=_stack(build, run),
            languages=build.languages,
            packages=run.manifest.packages if run.manifest else (),
            steps=build.steps,
            lands_first=build.lands_first,
            products=build.products,
            manifest=run.manifest,
            processes=run.processes,
            env=build.env,
            pack=build.pack,
        )

    @property
    def _compiles(self) -> bool:
        """Whether the file that describes the run describes the build as well."""
        return self.builder is None or self.builder.name == Mpi.name

    def release(self, tree: Path, plan: Plan) -> Plan:
        """Return the plan, completed with what the builder finds in the built `tree`."""
        if self.builder is None:
            return plan
        released = self.builder.release(tree, not plan.run_by)
        return replace(
            plan,
            processes=plan.processes if plan.run_by else released.processes,
            env=tuple((dict(released.env) | dict(plan.env)).items()),
        )


def detect(
    tree: Path,
    folders: Sequence[Path] = (),
    chosen: str | None = None,
    enclose: folder.Enclose = folder.in_the_open,
) -> Buildpack:
    """Return the buildpack of `tree`.

    `folders` are candidate folder packs; `enclose` wraps their programs. `chosen` is the name of the built-in
    or folder pack that is asked first. The built-in builders are asked next, then the folder packs. Only when
    none of them builds the tree, nothing has to be built.

    Raises:
        BuildpackError: nothing in the tree describes how to build or run it, or no pack is named `chosen`.
    """
    packs: tuple[BuildSide, ...] = folder.packs(folders, enclose)
    first = (_chosen((*BUILDERS, *packs), chosen),) if chosen else ()
    builder = next((pack for pack in (*first, *BUILDERS, *packs) if pack.builds(tree)), None)
    runner = next((runner for runner in RUNNERS if runner.runs(tree)), None)
    if builder is None and runner is None:
        raise _nothing_found(tree)
    return Composed(builder, runner)


def describe(plan: Plan) -> str:
    """Return one line for the push's output: what builds and what runs."""
    kinds = ", ".join((plan.stack, *plan.languages))
    runs = f"{plan.run_by or _own_command(plan)} runs"
    if plan.built_by:
        return f"{plan.built_by} builds ({kinds}), {runs}"
    return f"nothing has to be built, {runs}" + (f" ({kinds})" if plan.manifest else "")


def _own_command(plan: Plan) -> str:
    return "the jar in target/" if plan.stack == "maven" else "its own command"


def _stack(build: HowToBuild, run: HowToRun) -> str:
    if build.stack == "dockerfile" or run.manifest is None:
        return build.stack
    return run.manifest.mpi


def _chosen(packs: Sequence[BuildSide], chosen: str) -> BuildSide:
    for pack in packs:
        if pack.name == chosen:
            return pack
    known = ", ".join(pack.name for pack in packs)
    raise BuildpackError(
        f"the app's settings name the buildpack `{chosen}`, and there is none of that name",
        f"There are {known}; folders in $NAP_HOME/buildpacks/ are further ones.",
    )


def _nothing_found(tree: Path) -> BuildpackError:
    if not any(tree.iterdir()):
        return BuildpackError("the pushed commit has no files", "Commit your program and an mpi.xml.")
    sentence = f"the tree has none of the files that say how to build and run it: {_FILES}"
    for name in sorted(path.name for path in tree.iterdir() if path.is_file()):
        if meant := _meant(name):
            return BuildpackError(sentence, f"There is a file `{name}`: did you mean `{meant}`?")
    example = "`from: hello.c`, `to: hello`, `hosts: 4`"
    return BuildpackError(sentence, f"An MPI program needs an mpi.xml with three lines: {example}.")


def _meant(name: str) -> str:
    """Return the known file name that `name` is probably a misspelling of, or ""."""
    known = {each.lower(): each for each in _NAMES}
    near = difflib.get_close_matches(name.lower().removesuffix(".txt"), known, n=1, cutoff=_NEAR)
    return known[near[0]] if near else ""
