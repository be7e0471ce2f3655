"""create, apps, config, destroy: the apps and their settings."""

from __future__ import annotations

import shlex
import sys

import click

from receiver.cli.common import app_argument, client, json_option, key_value, path, print_json, print_table
from receiver.errors import ReceiverError


@click.command()
@app_argument
@json_option
def create(app: str, as_json: bool) -> None:
    """Make an app, and print the line that adds it to a repository.

    \b
    Example:
      nap create hello
      nap create hello --json | jq -r .remote
    """
    value = client().post("/apps", {"name": app})
    if as_json:
        print_json(value)
    else:
        click.echo(f"git remote add nap {shlex.quote(value['remote'])}")


@click.command()
@json_option
def apps(as_json: bool) -> None:
    """List the apps.

    \b
    Example:
      nap apps
    """
    from receiver.text.format import release_name

    values = client().get("/apps")
    if as_json:
        print_json(values)
    else:
        rows = [(v["app"], release_name(v["release"]), v["state"], v["remote"]) for v in values]
        print_table(("APP", "RELEASE", "STATE", "REMOTE"), rows, "no apps yet: nap create NAME")


@click.command()
@app_argument
@click.argument("settings", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--unset", metavar="KEY", multiple=True, help="Back to the default.")
@json_option
def config(app: str, settings: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> None:
    """Show an app's settings, or change some.

    \b
    Example:
      nap config hello
      nap config hello branch=main strict=true
      nap config hello --unset branch
    """
    from receiver.text.format import pairs

    changes: dict[str, str | None] = {**dict.fromkeys(unset), **dict(map(key_value, settings))}
    where = path("apps", app, "config")
    values = client().patch(where, changes) if changes else client().get(where)
    if as_json:
        print_json(values)
    elif values:
        click.echo(pairs(values))
    else:
        click.echo(f"{app} has no settings of its own", err=True)


@click.command()
@app_argument
@click.option("--yes", is_flag=True, help="Do not ask for the name.")
def destroy(app: str, yes: bool) -> None:
    """Remove an app: its repository, releases, runs and logs.

    \b
    Example:
      nap destroy hello
      nap destroy hello --yes
    """
    if not yes:
        client().get(path("apps", app, "config"))  # nobody types the name of an app that is not there
    if not yes and _typed_name(app) != app:
        raise ReceiverError(f"the name typed is not {app!r}: nothing was removed", f"nap destroy {app} --yes")
    client().delete(path("apps", app))
    click.echo(f"{app} is gone", err=True)


def _typed_name(app: str) -> str:
    question = f"This removes {app} with its releases, runs and logs. Type its name to go on: "
    click.echo(question, nl=False, err=True)
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        click.echo(err=True)  # nobody typed it
    return line.strip()
