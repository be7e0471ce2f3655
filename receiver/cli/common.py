"""What several verbs share: arguments, options, the client, and printing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from receiver.errors import ReceiverError

if TYPE_CHECKING:
    from receiver.client import Client


class _RunNumber(click.IntRange):
    name = "run number"  # what click says that something else is not


app_argument = click.argument("app")
run_argument = click.argument("run", type=_RunNumber(min=1), required=False)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")


def client() -> Client:
    """The client of this user's home; imported here because http.client is slow to import."""
    from receiver.client import Client, nap_home

    return Client(nap_home())


def path(*parts: object) -> str:
    from receiver.client import resource

    return resource(*parts)


def find_run(app: str, number: int | None) -> dict[str, Any]:
    """The run of that number, or the latest one."""
    run: dict[str, Any] = client().get(path("apps", app, "runs", number or "latest"))
    return run


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows under their headings, or on stderr the sentence that says there are none."""
    from receiver.text.format import table

    if rows:
        click.echo(table(headings, rows))
    else:
        click.echo(empty, err=True)


def key_value(word: str) -> tuple[str, str]:
    """Split `key=value`; the value may hold further `=`."""
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise ReceiverError(f"{word!r} is not of the form key=value", "for example: keep=3")
    return key, value
