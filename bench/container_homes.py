"""Homes of nap whose engine is containers, for benchmarks: one a runtime, with Open MPI's stack built.

Stacks take minutes; a FOLDER given to a benchmark keeps its homes, and what they built, for the next one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.containers.runtimes import forget_images
from support.nap_home import NapHome

from buildpacks.stacks.stack import Stack
from receiver.builds import image_registry
from receiver.builds.stacks.records import StackRecords
from receiver.home import settings
from receiver.home.paths import Home
from units.errors import UnitError
from units.oci import runtime as runtimes
from units.oci.runtime import Runtime

STACK_WITHIN = 1800
_KINDS = ("podman", "docker")


@contextmanager
def folder() -> Iterator[Path]:
    """Where homes are: the folder that was named, else one for this time only."""
    if sys.argv[1:]:
        yield Path(sys.argv[1]).absolute()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        for kind in here():
            home = Home(Path(name) / kind)
            found = image_registry.runtime(home, settings.load(home.settings))
            forget_images(found, image_registry.of(home, settings.load(home.settings).registry).host)


def here() -> list[str]:
    """The runtimes that answer on this machine; of others a line says why not."""
    found = []
    for kind in _KINDS:
        try:
            found.append(runtimes.find(kind).kind)
        except UnitError as error:
            print(f"{kind}: {error.message}")
    return found


@contextmanager
def home_on(kind: str, root: Path, *stacks: str) -> Iterator[NapHome]:
    """A home that is up on this runtime, with these stacks built."""
    home = NapHome(root / kind)
    home.settings(f"containers: {{runtime: {kind}}}\n")
    ran = home.nap("up", "--engine", "containers")
    if ran.code:
        raise SystemExit(ran.err)
    try:
        ran = home.nap("stack", "build", *stacks, within=STACK_WITHIN)
        if ran.code:
            raise SystemExit(ran.err)
        yield home
    finally:
        home.down()


def runtime_of(home: NapHome) -> Runtime:
    """With the login to the home's registry."""
    paths = Home(home.root)
    return image_registry.runtime(paths, settings.load(paths.settings))


def stack_of(home: NapHome, name: str) -> Stack:
    """One that was built without packages of an app's own."""
    built = StackRecords(Home(home.root).stack_records).all()
    return next(one.stack for one in built if one.name == name and not one.packages)


def report_each(report: Callable[[NapHome], None]) -> None:
    """On each runtime that is here, with Open MPI's stack."""
    with folder() as root:
        for kind in here():
            print(f"\n{kind}", flush=True)
            with home_on(kind, root, "openmpi") as home:
                report(home)
