"""Dockerfile as a kind of tree: the user's own image, built where there are containers."""

import re
from pathlib import Path

from buildpacks import sources
from buildpacks.errors import BuildpackError
from buildpacks.kinds import Build, Released
from buildpacks.manifest import Manifest
from buildpacks.plan import WEB, Process

# An instruction may go on over lines, by either of the characters that Dockerfiles may choose for that.
_COMMENT = re.compile(r"^[ \t]*#.*\n", re.MULTILINE)
_GOES_ON = re.compile(r"[\\`][ \t]*\r?\n")
_RUN_OPTIONS = re.compile(r"^[ \t]*(?:ONBUILD[ \t]+)?RUN((?:[ \t]+--\S+)+)", re.IGNORECASE | re.MULTILINE)
# What gives a step rights over the machine that builds, unless its value is one of these.
_RIGHTS = {"--network": ("default", "none"), "--security": ("sandbox",)}


class Dockerfile:
    """The building half of a Dockerfile; there are no steps, the image's own lines are them."""

    name = "Dockerfile"

    def builds(self, tree: Path) -> bool:
        """A tree with a Dockerfile."""
        return (tree / self.name).is_file()

    def build(self, tree: Path, _manifest: Manifest | None) -> Build:
        """An image of the user's own; no step of it may ask for the machine's network or rights."""
        sources.refuse_link(tree, self.name)
        _refuse_rights((tree / self.name).read_text(errors="replace"))
        return Build(built_by=self.name, stack="dockerfile")

    def release(self, _tree: Path, alone: bool) -> Released:
        """A service by the image's own command, unless something else says how to run."""
        return Released((Process(WEB, ""),)) if alone else Released()


def _refuse_rights(text: str) -> None:
    for options in _RUN_OPTIONS.findall(_GOES_ON.sub(" ", _COMMENT.sub("", text))):
        for option in options.split():
            name, _, value = option.lower().partition("=")
            if value not in _RIGHTS.get(name, (value,)):
                raise BuildpackError(
                    f"Dockerfile: RUN {option} would reach the machine that builds, which no step may",
                    f"leave it out, or: RUN {name}={_RIGHTS[name][0]}",
                )
