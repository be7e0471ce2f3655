"""A plan and a tree come in, an image comes out: the steps are run in a capsule on this machine."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildpacks import advice, layout, linkage
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
    """One build: a scratch tree, what the app's builds keep, who hears of it, and who may stop it."""

    tree: Path
    cache: Path
    say: Say
    cancelled: int


def build(bench: Bench, pack: Buildpack, plan: Plan, stack: Stack, work: Work) -> tuple[Image, Plan]:
    """The image, and the plan completed by what was built. BuildpackError when a step fails."""
    try:
        if plan.lands_first:
            layout.land(work.tree)
        for step in plan.steps:
            _run(bench, step, stack, work)
        completed = pack.release(work.tree, plan)
        if not plan.lands_first:
            layout.land(work.tree)
        for product in completed.products:
            _look_at(layout.find_product(work.tree, product), completed, stack, work.say)
        return bench.images.add(work.tree), completed
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ReceiverError("the disk is full, so the build was given up", f"see: df {work.tree}") from error


def _look_at(program: Path, plan: Plan, stack: Stack, say: Say) -> None:
    linkage.check(program, stack)
    if plan.manifest and (remark := advice.of_program(program, plan.manifest)):
        say(remark)


def _run(bench: Bench, step: Step, stack: Stack, work: Work) -> None:
    work.say(f"$ {step.shown}")
    env_folder = work.tree.with_name("env")
    env_folder.mkdir(exist_ok=True)
    work.cache.mkdir(parents=True, exist_ok=True)
    folders = {"{tree}": work.tree, "{cache}": work.cache, "{env}": env_folder, "{python}": sys.executable}
    places = {word: str(folder) for word, folder in folders.items()}
    argv = tuple(places.get(part, part) for part in step.argv)
    if argv[0] == "mvn":
        argv = (argv[0], *bench.maven, *argv[1:])
    writable = (work.tree, work.cache, env_folder)
    visible = tuple(path for path in (bench.home.stacks, bench.home.buildpacks) if path.is_dir())
    capsule = capsule_argv(bench.home.root, writable, visible, argv)
    env = {**environment(stack, work.cache), **_network(os.environ)}
    listener = advice.Listener()

    def say(line: str) -> None:
        listener.hear(line)
        work.say(line)

    code = stream(capsule, work.tree, env, say, bench.seconds, work.cancelled)
    if code != 0:
        raise BuildpackError(f"`{step.shown}` ended with {code}", listener.hint)


def environment(stack: Stack, home: Path) -> dict[str, str]:
    """What a build and a program find: small, clean, and with the stack's tools first on PATH."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    fixed = {"HOME": str(home), "PATH": path(stack), **dict(stack.env)}
    return {"LANG": "C.UTF-8", **own, **fixed}


def path(stack: Stack) -> str:
    """The machine's PATH behind the stack's tools."""
    machine = os.environ.get("PATH", _PATH)
    return f"{stack.bin}:{machine}" if stack.bin else machine


def _network(environ: Mapping[str, str]) -> dict[str, str]:
    """How pip and mvn reach their mirrors here: for builds alone, there may be passwords in it."""
    return {name: value for name, value in environ.items() if name in _PROXIES or name.startswith("PIP_")}
