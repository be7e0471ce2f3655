"""The interface of all builders: those of trees on this machine and those of container images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from buildpacks import advice
from buildpacks.build import Folders
from buildpacks.detect import Buildpack
from buildpacks.plan import Plan
from buildpacks.stacks.stack import Stack
from receiver.text.output import Say
from registry.images.trees import Image, ImageStore
from units.job import Pairs


@dataclass(frozen=True)
class Work:
    """The inputs of one build.

    `name` is short and the same for the same inputs: it names the result until that has a release. `say` gets
    the build's lines. `cancelled` is a file descriptor that becomes readable on cancellation.
    """

    app: str
    name: str
    folders: Folders
    say: Say
    cancelled: int


class Builder(Protocol):
    """Makes images of trees. Safe for concurrent use by several threads."""

    @property
    def images(self) -> ImageStore:
        """The images that were built and not pruned."""

    def stack(self, plan: Plan, say: Say, /) -> Stack:
        """Return the stack in which a plan is compiled and run. The error names what is missing for it."""

    def build(self, pack: Buildpack, plan: Plan, stack: Stack, work: Work, /) -> tuple[Image, Plan]:
        """Return the image, and the plan completed by what was built. BuildpackError when a step fails."""

    def find(self, digest: str, say: Say, /) -> Image | None:
        """Return an image that was built before and can still run; None when it has to be built again."""

    def released(self, app: str, number: int, image: Image, /) -> None:
        """Name the image by its release's number. A failure is only logged."""

    def dispose(self, images: Iterable[Image], /) -> None:
        """Remove images that are no longer needed. One that cannot be removed now stays on record."""

    def sweep(self) -> None:
        """End and remove what the builds of a killed receiver left behind."""

    def environment(self, plan: Plan, stack: Stack, image: Image, /) -> Pairs:
        """Return the environment of the image's programs. In values, `{app}` stands for the app's folder."""


def remark(plan: Plan, work: Work) -> None:
    """Give advice on the built programs, such as on MPI-IO, that a student may not know."""
    if plan.manifest is None:
        return
    tree = work.folders.tree
    for program in (tree / product for product in plan.products):
        for sentence in (
            advice.of_program(program, plan.manifest),
            advice.of_ranks(program, tree, plan.manifest),
        ):
            if sentence:
                work.say(sentence)
