"""A plan carried out in a tree; who executes its steps, and in what enclosure, is the caller's."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildpacks import layout
from buildpacks.detect import Buildpack
from buildpacks.errors import BuildpackError
from buildpacks.packs import commands, line_ends, program
from buildpacks.plan import Plan, Step
from buildpacks.stacks import linkage
from buildpacks.stacks.stack import Stack

Execute = Callable[[Step, tuple[str, ...]], None]


@dataclass(frozen=True)
class Folders:
    """Where a build happens, what it may keep for the next one, and Heroku's folder of variables."""

    tree: Path
    cache: Path
    env: Path


@dataclass(frozen=True)
class BuildSite:
    """Where steps are executed: this machine, or a container that has the same folders under other names.

    `folders` and `python` are given as the steps there see them. `finds` looks for a command there.
    """

    folders: Folders
    execute: Execute
    ldd: linkage.Ldd
    python: str = sys.executable
    finds: commands.Finds = field(default=lambda _: True)


def carry_out(pack: Buildpack, plan: Plan, stack: Stack, tree: Path, site: BuildSite) -> Plan:
    """Builds the tree in place; the plan, completed by what was built.

    Raises:
        BuildpackError: a step fails, or the program is not there, or of another MPI.
    """
    if plan.lands_first:
        layout.land(tree)
    for step in plan.steps:
        _execute(step, tree, site)
    completed = pack.release(tree, plan)
    if not plan.lands_first:
        layout.land(tree)
    for name in completed.products:
        linkage.check(layout.find_product(tree, name), stack, site.ldd)
    commands.check(completed, tree, site.finds)
    return program.completed(completed, tree)


def _execute(step: Step, tree: Path, site: BuildSite) -> None:
    """A script that a step could not start for its line ends is said to be gone by whoever starts it."""
    try:
        site.execute(step, command(step, site))
    except BuildpackError as error:
        if script := line_ends.find(tree, step.shown):
            sentence = f"{error.message}: {script} has Windows line ends (CRLF)"
            raise BuildpackError(sentence, line_ends.hint(script)) from error
        raise


def command(step: Step, site: BuildSite) -> tuple[str, ...]:
    """The argv of a step, with its placeholders filled in."""
    places = {
        "{tree}": str(site.folders.tree.absolute()),
        "{cache}": str(site.folders.cache.absolute()),
        "{env}": str(site.folders.env.absolute()),
        "{python}": site.python,
    }
    return tuple(places.get(word, word) for word in step.argv)


def environment(stack: Stack, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with the stack's variables, and its tools first on PATH."""
    path = base.get("PATH", os.defpath)
    first = f"{stack.bin}{os.pathsep}{path}" if stack.bin else path
    return {**base, **dict(stack.env), "PATH": first}


def in_the_open(tree: Path, env: Mapping[str, str], say: Callable[[str], None]) -> Execute:
    """Executes steps as they are; the commands' output goes where this process's goes."""

    def execute(step: Step, argv: tuple[str, ...]) -> None:
        say(step.shown)
        try:
            code = subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL, check=False).returncode
        except OSError as error:
            raise BuildpackError(f"`{step.shown}` cannot be run ({error.strerror})") from None
        if code:
            raise BuildpackError(
                f"`{step.shown}` ended with exit code {code}", "Its own lines above say what is wrong."
            )

    return execute
