"""Dockerfile as a kind of tree: the user's own image, built where there are containers."""

from pathlib import Path

from buildpacks.kinds import Build, Released
from buildpacks.manifest import Manifest


class Dockerfile:
    """The building half of a Dockerfile; there are no steps, the image's own lines are them."""

    name = "Dockerfile"

    def builds(self, tree: Path) -> bool:
        """A tree with a Dockerfile."""
        return (tree / self.name).is_file()

    def build(self, _tree: Path, _manifest: Manifest | None) -> Build:
        """An image of the user's own."""
        return Build(built_by=self.name, stack="dockerfile")

    def release(self, _tree: Path, _alone: bool) -> Released:
        """Nothing: an image has its own command."""
        return Released()
