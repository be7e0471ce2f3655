"""Executes a plan's steps in a container of its stack's build image, on a tree of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from buildpacks import advice
from buildpacks.build import BuildSite, Execute, carry_out
from buildpacks.build import environment as with_stack
from buildpacks.detect import Buildpack
from buildpacks.errors import BuildpackError
from buildpacks.packs.compile_line import WRAPPERS
from buildpacks.plan import Plan, Step
from buildpacks.stacks import linkage
from buildpacks.stacks.stack import Stack
from receiver.builds import mirrors
from receiver.builds.builder import Work
from receiver.builds.images import build_container
from receiver.builds.images.build_container import INSIDE, PYTHON, Order, Shell
from receiver.home.settings import Settings
from receiver.text.output import Limits
from units.oci.runtime import Runtime

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Workshop:
    """Compiles trees. `packs` is the folder of folder packs; build containers carry `labels`."""

    runtime: Runtime
    settings: Settings
    packs: Path
    labels: Mapping[str, str]

    def compile(self, pack: Buildpack, plan: Plan, stack: Stack, work: Work, limits: Limits) -> Plan:
        """Build the tree in place and return the completed plan. BuildpackError when a step fails."""
        tree = work.folders.tree
        order = self._order(plan, stack, work)
        opened = partial(build_container.opened, self.runtime, order, limits, work.say)
        site = BuildSite(INSIDE, _nothing_to_execute, str, PYTHON, partial(_found_in, opened))
        if not (plan.steps or plan.products):
            return carry_out(pack, plan, stack, tree, site)
        with opened() as shell:
            run, linked = self._executor(shell, work), _ldd(shell, tree)
            site = BuildSite(INSIDE, run, linked, PYTHON, partial(_has, shell))
            return carry_out(pack, plan, stack, tree, site)

    def _order(self, plan: Plan, stack: Stack, work: Work) -> Order:
        secrets = mirrors.variables(os.environ)
        packs = (self.packs,) if self.packs.is_dir() else ()
        return Order(
            name=f"nap_{work.app}_build_{os.urandom(4).hex()}",
            image=stack.build_image,
            labels={**self.labels, "nap.build": work.name},
            folders=work.folders,
            visible=(*packs, *mirrors.files(secrets)),
            env=with_stack(stack, {"LANG": "C.UTF-8", "HOME": str(INSIDE.cache), "PATH": PATH}),
            secrets=secrets,
            network=any(step.argv[0] not in WRAPPERS.values() for step in plan.steps),
            pids=self.settings.containers.pids,
            memory=self.settings.containers.build_memory,
        )

    def _executor(self, shell: Shell, work: Work) -> Execute:
        def execute(step: Step, argv: tuple[str, ...]) -> None:
            if argv[0] == "mvn":
                argv = (argv[0], *self.settings.maven, *argv[1:])
            listener = advice.Listener()

            def hear(line: str) -> None:
                listener.hear(line)
                work.say(line)

            work.say(f"$ {step.shown}")
            if code := shell.run(argv, hear):
                hint = build_container.NO_MEMORY if code == build_container.KILLED else listener.hint
                raise BuildpackError(f"`{step.shown}` ended with {code}", hint)

        return execute


def _nothing_to_execute(step: Step, _argv: tuple[str, ...]) -> None:
    raise AssertionError(f"a plan without steps has one: {step.shown}")


def _has(shell: Shell, command: str) -> bool:
    return shell.run(("sh", "-c", 'command -v "$1" >/dev/null', "sh", command), lambda _: None) == 0


def _found_in(opened: Callable[[], AbstractContextManager[Shell]], command: str) -> bool:
    """Return the same as `_has`, from a container opened for this one question.

    It is for plans without a step: few of them need any question, so no container is opened in advance.
    """
    with opened() as shell:
        return _has(shell, command)


def _ldd(shell: Shell, tree: Path) -> linkage.Ldd:
    def ldd(file: Path) -> str:
        lines: list[str] = []
        shell.run(("env", "LC_ALL=C", "ldd", str(INSIDE.tree / file.relative_to(tree))), lines.append)
        return "\n".join(lines)

    return ldd
