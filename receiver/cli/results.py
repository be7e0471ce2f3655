"""results: the files a run left behind, listed or copied."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import click

from receiver.cli.common import (
    app_argument,
    client,
    find_run,
    json_option,
    path,
    print_json,
    print_table,
    run_argument,
)
from receiver.errors import ReceiverError


@click.command()
@app_argument
@run_argument
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy them into this folder.",
)
@json_option
def results(app: str, run: int | None, folder: Path | None, as_json: bool) -> None:
    """List the files that a run's `results:` kept, or copy them.

    \b
    Example:
      nap results heat
      nap results heat 3 --to out/
    """
    from receiver.text.format import counted, has_ended, size

    found = find_run(app, run)
    number = found["number"]
    values = client().get(path("apps", app, "runs", number, "results"))
    if folder is not None and values:
        copy(values, folder)
        click.echo(f"{counted(len(values), 'file')} copied to {folder}", err=True)
    if as_json:
        print_json(values)
    else:
        rows = [(v["name"], size(v["size"]), v["path"]) for v in values]
        kept = "kept no files" if has_ended(found) else "has not ended: its results come with its end"
        print_table(("NAME", "SIZE", "PATH"), rows, f"run {number} of {app} {kept}")


def copy(values: list[dict[str, Any]], folder: Path) -> None:
    """Copy results into a folder under their names (`share/x`, `slave1/x`)."""
    for value in values:
        target = folder / inside(value["name"])
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(value["path"], target)
        except OSError as error:
            raise ReceiverError(
                f"{value['name']} could not be copied to {target}: {error.strerror or error}"
            ) from error


def inside(name: str) -> PurePosixPath:
    """The name as a relative path; a name is made by a program and may try to leave the folder."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ReceiverError(f"the result {name!r} leaves the folder it is copied to")
    return relative
