"""A plan's steps as commands, and the whole of them carried out in a tree."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from buildpacks import layout, linkage
from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan, Step
from buildpacks.stack import Stack
from buildpacks.stack_wheel import Say


def command(step: Step, tree: Path, cache: Path, env: Path) -> tuple[str, ...]:
    """The argv of a step, with its placeholders filled in."""
    places = {
        "{tree}": str(tree.absolute()),
        "{cache}": str(cache.absolute()),
        "{env}": str(env.absolute()),
        "{python}": sys.executable,
    }
    return tuple(places.get(word, word) for word in step.argv)


def environment(stack: Stack, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with the stack's variables, and its tools first on PATH."""
    path = base.get("PATH", os.defpath)
    first = f"{stack.bin}{os.pathsep}{path}" if stack.bin else path
    return {**base, **dict(stack.env), "PATH": first}


def carry_out(
    plan: Plan, stack: Stack, tree: Path, cache: Path, env: Path, base: Mapping[str, str], say: Say
) -> None:
    """Builds `tree` in place; the commands' output goes where this process's goes.

    Raises:
        BuildpackError: a step fails, or the program is not there, or of another MPI.
    """
    if plan.lands_first:
        layout.land(tree)
    for step in plan.steps:
        say(step.shown)
        _run(step, command(step, tree, cache, env), tree, environment(stack, base))
    layout.land(tree)
    for name in plan.products:
        linkage.check(layout.find_product(tree, name), stack)


def _run(step: Step, argv: tuple[str, ...], tree: Path, env: Mapping[str, str]) -> None:
    try:
        code = subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        raise BuildpackError(f"`{step.shown}` cannot be run ({error.strerror})") from None
    if code:
        raise BuildpackError(
            f"`{step.shown}` ended with exit code {code}", "Its own lines above say what is wrong."
        )
