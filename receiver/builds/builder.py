"""What every builder answers to, whether it makes trees on this machine or images of containers."""

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
    """One build: of which app, in what folders, who hears of it, and who may stop it (a file descriptor).

    `name` is short and the same for the same inputs: what is made can be called so before it has a release.
    """

    app: str
    name: str
    folders: Folders
    say: Say
    cancelled: int


class Builder(Protocol):
    """Makes images of trees; may be used by several threads at a time."""

    @property
    def images(self) -> ImageStore:
        """What was built and not pruned."""

    def stack(self, plan: Plan, say: Say, /) -> Stack:
        """Where a plan is compiled and run; an error says what is missing for it."""

    def build(self, pack: Buildpack, plan: Plan, stack: Stack, work: Work, /) -> tuple[Image, Plan]:
        """The image, and the plan completed by what was built. BuildpackError when a step fails."""

    def find(self, digest: str, say: Say, /) -> Image | None:
        """The image that was built before, when it can be run still; None when it is to be built again."""

    def released(self, app: str, number: int, image: Image, /) -> None:
        """Call the image what people call it now: by its release's number. A failure goes to the log."""

    def dispose(self, images: Iterable[Image], /) -> None:
        """Remove images that nobody needs any more; one that cannot be removed now stays on record."""

    def sweep(self) -> None:
        """End and remove what builds of a receiver that was killed have left."""

    def environment(self, plan: Plan, stack: Stack, image: Image, /) -> Pairs:
        """What programs of the image find. In its values `{app}` stands for the app's folder."""


def remark(plan: Plan, work: Work) -> None:
    """What a student may not know of a program like this one."""
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
