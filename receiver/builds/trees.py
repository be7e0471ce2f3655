"""The builder of trees: it runs a plan's steps in capsules on this machine and keeps the compiled tree."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from buildpacks import advice
from buildpacks.build import BuildSite, Execute, carry_out
from buildpacks.build import environment as with_stack
from buildpacks.detect import Buildpack
from buildpacks.errors import BuildpackError
from buildpacks.packs import commands
from buildpacks.plan import Plan, Step
from buildpacks.stacks import choice, linkage, packages
from buildpacks.stacks.stack import Stack
from receiver.builds import mirrors
from receiver.builds.builder import Work, remark
from receiver.errors import ReceiverError
from receiver.home.paths import Home, users_home
from receiver.home.settings import Settings
from receiver.text.output import Command, Limits, Say, stream
from registry.images.trees import Image, Images
from units import launching
from units.capsule.command import argv_inside
from units.job import Pairs
from units.supervisor.files import remove

_PASSED_ON = ("USER", "LOGNAME", "LANG", "TZ", "JAVA_HOME")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MachineBuilder:
    """A builder whose images are trees and whose stacks are this machine's tools."""

    def __init__(self, home: Home, settings: Settings, images: Images) -> None:
        self._home = home
        self._settings = settings
        self.images = images

    def stack(self, plan: Plan, say: Say) -> Stack:
        if plan.stack == "dockerfile":
            raise ReceiverError(
                "a Dockerfile app needs containers, and this receiver's engine is `local`",
                "push without the Dockerfile, or on the receiver: nap up --engine containers",
            )
        packages.check(plan.packages)
        return choice.find(plan.stack, plan.languages, self._home.stacks, self._settings.mpi, say)

    def build(self, pack: Buildpack, plan: Plan, stack: Stack, work: Work) -> tuple[Image, Plan]:
        tree = work.folders.tree
        try:
            for folder in (work.folders.cache, work.folders.env):
                folder.mkdir(parents=True, exist_ok=True)
            ldd = linkage.on_this_machine(dict(stack.env))
            finds = commands.on_path(environment(stack, work.folders.cache)["PATH"])
            site = BuildSite(work.folders, self._executor(stack, work), ldd, finds=finds)
            completed = carry_out(pack, plan, stack, tree, site)
            remark(completed, work)
            return self.images.add(tree), completed
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise ReceiverError("the disk is full, so the build was given up", f"see: df {tree}") from error

    def find(self, digest: str, _say: Say) -> Image | None:
        if not self.images.has(digest):
            return None
        self.images.renew(digest)
        return self.images.get(digest)

    def released(self, _app: str, _number: int, _image: Image) -> None:
        """Do nothing: a tree has no name but its digest."""

    def dispose(self, images: Iterable[Image]) -> None:
        for image in images:
            self.images.remove(image.digest)

    def sweep(self) -> None:
        """Remove trees that were checked out, or built in part."""
        remove(self._home.scratch)

    def environment(self, plan: Plan, stack: Stack, _image: Image) -> Pairs:
        return launching.variables(tuple(environment(stack, users_home()).items()), plan.env, {})

    def _executor(self, stack: Stack, work: Work) -> Execute:
        """Return what runs a step in a capsule of its own and shows its lines at once."""
        home, folders = self._home, work.folders
        visible = tuple(path for path in (home.stacks, home.buildpacks) if path.is_dir())
        env = {**environment(stack, folders.cache), **mirrors.variables(os.environ)}

        def execute(step: Step, argv: tuple[str, ...]) -> None:
            if argv[0] == "mvn":
                argv = (argv[0], *self._settings.maven, *argv[1:])
            listener = advice.Listener()

            def say(line: str) -> None:
                listener.hear(line)
                work.say(line)

            work.say(f"$ {step.shown}")
            capsule = argv_inside(home.root, (folders.tree, folders.cache, folders.env), visible, argv)
            limits = Limits.of(self._settings.build_timeout, work.cancelled)
            code = stream(Command(capsule, folders.tree, env), say, limits)
            if code != 0:
                raise BuildpackError(f"`{step.shown}` ended with {code}", listener.hint)

        return execute


def environment(stack: Stack, home: Path) -> dict[str, str]:
    """Return the minimal environment of builds and programs, with the stack's tools first on PATH."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.environ.get("PATH", _PATH)
    return with_stack(stack, {"LANG": "C.UTF-8", **own, "HOME": str(home), "PATH": path})
