"""A plan and a tree come in, an image comes out: the steps are run in a capsule on this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildpacks import advice
from buildpacks.build import Execute, Folders, carry_out
from buildpacks.build import environment as with_stack
from buildpacks.detect import Buildpack
from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan, Step
from buildpacks.stack import Stack
from receiver.errors import ReceiverError
from receiver.lines import Say, stream
from receiver.paths import Home
from registry.images import Image, Images
from units.local.engine import capsule_argv

_PASSED_ON = ("USER", "LOGNAME", "LANG", "TZ", "JAVA_HOME")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Bench:
    """Where and within what limits things are built. `seconds` is the longest one step may take."""

    home: Home
    images: Images
    seconds: int
    maven: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """One build: its folders, who hears of it, and who may stop it (a file descriptor)."""

    folders: Folders
    say: Say
    cancelled: int


def build(bench: Bench, pack: Buildpack, plan: Plan, stack: Stack, work: Work) -> tuple[Image, Plan]:
    """The image, and the plan completed by what was built. BuildpackError when a step fails."""
    tree = work.folders.tree
    try:
        for folder in (work.folders.cache, work.folders.env):
            folder.mkdir(parents=True, exist_ok=True)
        completed = carry_out(pack, plan, stack, work.folders, _executor(bench, stack, work))
        _remark(completed, work)
        return bench.images.add(tree), completed
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ReceiverError("the disk is full, so the build was given up", f"see: df {tree}") from error


def _remark(plan: Plan, work: Work) -> None:
    """What a student may not know of a program like this one."""
    if plan.manifest is None:
        return
    for product in plan.products:
        if remark := advice.of_program(work.folders.tree / product, plan.manifest):
            work.say(remark)


def _executor(bench: Bench, stack: Stack, work: Work) -> Execute:
    """Runs a step in a capsule of its own, its lines shown as they come."""
    folders = work.folders
    visible = tuple(path for path in (bench.home.stacks, bench.home.buildpacks) if path.is_dir())
    env = {**environment(stack, folders.cache), **network(os.environ)}

    def execute(step: Step, argv: tuple[str, ...]) -> None:
        if argv[0] == "mvn":
            argv = (argv[0], *bench.maven, *argv[1:])
        listener = advice.Listener()

        def say(line: str) -> None:
            listener.hear(line)
            work.say(line)

        work.say(f"$ {step.shown}")
        capsule = capsule_argv(bench.home.root, (folders.tree, folders.cache, folders.env), visible, argv)
        code = stream(capsule, folders.tree, env, say, bench.seconds, work.cancelled)
        if code != 0:
            raise BuildpackError(f"`{step.shown}` ended with {code}", listener.hint)

    return execute


def environment(stack: Stack, home: Path) -> dict[str, str]:
    """What a build and a program find: small, clean, and with the stack's tools first on PATH."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.environ.get("PATH", _PATH)
    return with_stack(stack, {"LANG": "C.UTF-8", **own, "HOME": str(home), "PATH": path})


def network(environ: Mapping[str, str]) -> dict[str, str]:
    """How pip and mvn reach their mirrors here: for builds alone, there may be passwords in it."""
    return {name: value for name, value in environ.items() if name in _PROXIES or name.startswith("PIP_")}
