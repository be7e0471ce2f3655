"""Carry out a plan in a tree; the caller decides how and in which enclosure its steps are executed."""

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
    """The folders of a build: its tree, the cache kept for the next build, and Heroku's variables."""

    tree: Path
    cache: Path
    env: Path


@dataclass(frozen=True)
class BuildSite:
    """The place where steps are executed: this machine, or a container with the same folders at other paths.

    `folders` and `python` are paths as the steps see them. `finds` returns whether a command exists there.
    """

    folders: Folders
    execute: Execute
    ldd: linkage.Ldd
    python: str = sys.executable
    finds: commands.Finds = field(default=lambda _: True)


def carry_out(pack: Buildpack, plan: Plan, stack: Stack, tree: Path, site: BuildSite) -> Plan:
    """Build the tree in place and return the plan, completed from the build's result.

    Raises:
        BuildpackError: a step fails, or the program is missing, cannot start or is linked to another MPI.
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
    """Execute a step. On failure, blame a script with CRLF line ends: the kernel reports it as missing."""
    try:
        site.execute(step, command(step, site))
    except BuildpackError as error:
        if script := line_ends.find(tree, step.shown):
            sentence = f"{error.message}: {script} has Windows line ends (CRLF)"
            raise BuildpackError(sentence, line_ends.hint(script)) from error
        raise


def command(step: Step, site: BuildSite) -> tuple[str, ...]:
    """Return the argv of a step, with its placeholders replaced."""
    places = {
        "{tree}": str(site.folders.tree.absolute()),
        "{cache}": str(site.folders.cache.absolute()),
        "{env}": str(site.folders.env.absolute()),
        "{python}": site.python,
    }
    return tuple(places.get(word, word) for word in step.argv)


def environment(stack: Stack, base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with the stack's variables added and its tools first on PATH."""
    path = base.get("PATH", os.defpath)
    first = f"{stack.bin}{os.pathsep}{path}" if stack.bin else path
    return {**base, **dict(stack.env), "PATH": first}


def in_the_open(tree: Path, env: Mapping[str, str], say: Callable[[str], None]) -> Execute:
    """Return an `Execute` that runs steps in `tree` without enclosure; they inherit this process's output."""

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
