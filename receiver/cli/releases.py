"""releases, render: what was built, and what would be submitted."""

from __future__ import annotations

import click

from receiver.cli.common import app_argument, client, json_option, path, print_json, print_table


@click.command()
@app_argument
@json_option
def releases(app: str, as_json: bool) -> None:
    """List an app's releases, oldest first.

    \b
    Example:
      nap releases hello
    """
    from receiver.text.format import ago, release_name

    values = client().get(path("apps", app, "releases"))
    if as_json:
        print_json(values)
        return
    rows = [
        (release_name(v["number"]), v["commit"][:7], v["stack"], len(v["runs"]), ago(v["created"]))
        for v in values
    ]
    headings = ("RELEASE", "COMMIT", "STACK", "RUNS", "CREATED")
    print_table(headings, rows, f"{app} has no release yet: git push nap master")


@click.command()
@app_argument
@click.option(
    "--engine",
    metavar="NAME",
    help="`compose`, or an engine, to export it; otherwise, the engine that nap is up with.",
)
@json_option
def render(app: str, engine: str | None, as_json: bool) -> None:
    """Print the units of an app's last release; runs nothing.

    \b
    Example:
      nap render hello
      nap render hello --engine compose > compose.yaml
      nap render hello --engine systemd    # with the node of each slave, as it would be placed now
    """
    from urllib.parse import urlencode

    query = f"?{urlencode({'engine': engine})}" if engine else ""
    files = client().get(path("apps", app, "render") + query)
    if as_json:
        print_json(files)
        return
    for file in files:
        if len(files) > 1:
            click.echo(f"# --- {file['name']}")
        click.echo(file["content"], nl=not file["content"].endswith("\n"))
