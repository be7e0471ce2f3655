"""stack: the images that programs are compiled and run in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from receiver.cli.common import json_option, print_json, print_table

if TYPE_CHECKING:
    from receiver.builds.stacks.images import StackImages
    from receiver.builds.stacks.records import Built


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def stack(ctx: click.Context, as_json: bool) -> None:
    """List the stacks that were built as images, or build them.

    \b
    Example:
      nap stack
      nap stack build openmpi mpich
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@stack.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--anew", is_flag=True, help="Build also what is there, with today's Debian packages.")
def build(names: tuple[str, ...], anew: bool) -> None:
    """Build stacks before the first push needs them; all of them when none is named.

    \b
    Example:
      nap stack build
      nap stack build openmpi --anew
    """
    from buildpacks.stacks.image_stacks import KINDS, named

    for name in names:
        named(name)
    images = _images()
    for name in names or KINDS:
        built = images.build(name, click.echo, anew)
        click.echo(f"{name}: build {_size(built.build_size)}, run {_size(built.run_size)}, {built.run}")


def _images() -> StackImages:
    """The stacks of this home, with the registry up: the daemon is not asked."""
    from receiver.builds import image_registry
    from receiver.builds.stacks.images import StackImages
    from receiver.client import nap_home
    from receiver.errors import ReceiverError
    from receiver.home import settings
    from receiver.home.paths import Home

    home = Home(nap_home())
    if not home.log.is_dir():
        raise ReceiverError(f"there is no home of nap in {home.root}", "nap up --engine containers")
    ours = settings.load(home.settings)
    registry = image_registry.have(home, ours.registry, click.echo)
    return StackImages(home, ours, registry, image_registry.runtime(home, ours))


def _list(as_json: bool) -> None:
    from receiver.builds.stacks.records import StackRecords
    from receiver.client import nap_home
    from receiver.home.paths import Home
    from receiver.text.format import ago

    values = StackRecords(Home(nap_home()).stack_records).all()
    if as_json:
        print_json([_json(built) for built in values])
        return
    rows = [
        (built.name, " ".join(built.packages) or None, built.key, _size(built.build_size),
         _size(built.run_size), _short(built.run), ago(built.created))
        for built in values if built.is_current
    ]  # fmt: skip
    headings = ("STACK", "PACKAGES", "KEY", "BUILD", "RUN", "IMAGE (RUN)", "BUILT")
    print_table(headings, rows, "no stack was built yet: nap stack build, or the first push of an app")


def _json(built: Built) -> dict[str, Any]:
    return {
        "name": built.name,
        "packages": list(built.packages),
        "key": built.key,
        "title": built.stack.title,
        "current": built.is_current,
        "base": built.base,
        "created": built.created,
        "build": {"image": built.build, "size": built.build_size},
        "run": {"image": built.run, "size": built.run_size},
    }


def _size(count: int) -> str:
    from receiver.text.format import size

    return size(count)


def _short(reference: str) -> str:
    """As much of a digest as people compare."""
    return reference.partition("@")[2][:19]
