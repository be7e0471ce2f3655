"""A user's own Dockerfile: built unchanged, then inspected once for what mpi.xml needs in the image."""

from __future__ import annotations

from pathlib import Path

from buildpacks.detect import Buildpack
from buildpacks.errors import BuildpackError
from buildpacks.packs import program
from buildpacks.plan import Plan
from receiver.builds.builder import Work
from receiver.builds.images import image_build, inspect
from receiver.builds.images.dockerfile_log import DockerfileLog
from receiver.builds.images.image_build import Making
from registry.images.trees import Image
from units.oci.build import ImageBuild
from units.oci.runtime import Runtime


def build(making: Making, pack: Buildpack, plan: Plan, work: Work) -> tuple[str, Image, Plan]:
    """Build the Dockerfile; return the image's id, the image without a digest, and the completed plan.

    Raises:
        BuildpackError: a step fails, or MPI programs cannot run in the image.
    """
    tree, story = work.folders.tree, DockerfileLog()
    _open_up(tree)

    def hear(line: str) -> None:
        story.hear(line)
        if not story.is_label:
            work.say(line)

    # Podman's default format, OCI, cannot hold HEALTHCHECK and SHELL.
    options = ("--format", "docker") if making.runtime.kind == "podman" else ()
    recipe = ImageBuild(tree, tree / "Dockerfile", tree.with_name("image"))
    if image_build.make(making, recipe, hear, *options):
        failure = story.failure()
        raise BuildpackError(failure.message, making.runtime.hint(failure.message) or failure.hint)
    id_ = recipe.id_file.read_text().strip()
    completed = program.completed(pack.release(tree, plan), tree)
    try:
        return id_, _looked_at(making.runtime, id_, completed), completed
    except BuildpackError:
        making.runtime.run("rmi", id_)
        raise


def _open_up(tree: Path) -> None:
    """Make the tree readable to all, whatever the receiver's umask: the image's user has to read it."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))


def _looked_at(runtime: Runtime, id_: str, plan: Plan) -> Image:
    config = inspect.config(runtime, id_)
    flavour = inspect.flavour(runtime, id_, config.workdir, plan.manifest) if plan.manifest else ""
    return Image("", workdir=config.workdir, flavour=flavour, env=config.env)
