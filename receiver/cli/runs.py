"""ps, runs, run, wait, cancel: what runs, what ran, and how it ended."""

from __future__ import annotations

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
from receiver.cli.logs import follow
from receiver.errors import ReceiverError


class _Release(click.IntRange):
    """As a number, or as tables show it: `v2`."""

    name = "release"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number: Any = value.removeprefix("v") if isinstance(value, str) else value
        return super().convert(number, param, ctx)


_PS_HEADINGS = ("APP", "RUN", "RELEASE", "STATE", "RUNS FOR", "UNIT", "ADDRESS", "SLOTS", "UNIT STATE")
_RUNS_HEADINGS = (
    "RUN", "RELEASE", "COMMIT", "STATE", "EXIT", "SLAVES", "NP", "TOOK", "ACCEPTED", "WHO", "SUBJECT",
)  # fmt: skip


@click.command()
@json_option
def ps(as_json: bool) -> None:
    """List what runs now, on which slaves.

    \b
    Example:
      nap ps
    """
    values = client().get("/ps")
    if as_json:
        print_json(values)
    else:
        rows = [row for value in values for row in _unit_rows(value)]
        print_table(_PS_HEADINGS, rows, "nothing runs")


def _unit_rows(value: dict[str, Any]) -> list[tuple[object, ...]]:
    """A row a unit; what is the same in each is only in the first."""
    from receiver.text.format import age, release_name

    first = (
        value["app"],
        value["run"],
        release_name(value["release"]),
        value["state"],
        age(value.get("started")),
    )
    units = [(u["name"], u["address"] or None, u["slots"] or None, u["state"]) for u in value["units"]]
    if not units:
        return [(*first, None, None, None, None)]
    return [((*first, *unit) if i == 0 else ("",) * 5 + unit) for i, unit in enumerate(units)]


@click.command()
@app_argument
@json_option
def runs(app: str, as_json: bool) -> None:
    """List an app's runs, oldest first.

    \b
    Example:
      nap runs hello
      nap runs hello --json | jq '.[-1].exit_code'
    """
    values = client().get(path("apps", app, "runs"))
    if as_json:
        print_json(values)
    else:
        rows = [_run_row(value) for value in values]
        print_table(_RUNS_HEADINGS, rows, f"{app} has not run yet: git push nap master")


def _run_row(value: dict[str, Any]) -> tuple[object, ...]:
    from receiver.text.format import ago, duration, has_ended, release_name, shortened

    return (
        value["number"],
        release_name(value["release"]),
        (value["commit"] or "-")[:7],
        value["state"],
        value["exit_code"],
        value["slaves"] or None,
        value["np"] or None,
        duration(sum(value["seconds"].values())) if value["seconds"] and has_ended(value) else None,
        ago(value["created"]),
        value.get("who") or None,
        shortened(value.get("subject", "")) or None,
    )


@click.command()
@app_argument
@click.option("--release", metavar="N", type=_Release(min=1), help="That release instead of the last one.")
@click.option(
    "-o",
    "--option",
    "words",
    metavar="KEY[=VALUE]",
    multiple=True,
    help="As in git push -o: np, hosts, slots, args, timeout, replace.",
)
@click.option("-d", "--detach", is_flag=True, help="Do not follow the run.")
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    app: str,
    release: int | None,
    words: tuple[str, ...],
    detach: bool,
    as_json: bool,
) -> None:
    """Run a release again, follow it, and exit with its exit code.

    Ctrl-C stops the following, not the run. With --json the new run is printed and not followed.

    \b
    Example:
      nap run hello -o np=8
      nap run hello --release 2 -d
    """
    options = dict(map(option, words))
    new = client().post(path("apps", app, "runs"), {"release": release, "options": options})
    number = new["number"]
    if as_json:
        print_json(new)
    elif detach or "detach" in options:
        click.echo(f"run {number}; see it: nap logs {app} {number} -f")
    else:
        ctx.exit(_follow_to_the_end(app, number))


def option(word: str) -> tuple[str, str]:
    """A push option: `np=8`, or a bare `replace`, whose value is empty."""
    key, _, value = word.partition("=")
    return key, value


def _follow_to_the_end(app: str, number: int) -> int:
    from receiver.text.format import exit_status

    try:
        return exit_status(follow(app, number, until="up"))
    except KeyboardInterrupt:
        click.echo(
            f"\nrun {number} goes on; see it: nap logs {app} {number} -f, stop it: nap cancel {app} {number}",
            err=True,
        )
        return 130


@click.command()
@app_argument
@run_argument
@click.option("--clean", is_flag=True, help="Wait also until nothing of the run is left on the machines.")
@json_option
@click.pass_context
def wait(ctx: click.Context, app: str, run: int | None, clean: bool, as_json: bool) -> None:
    """Wait for a run's end, and exit with its exit code.

    The latest run, when none is named. A timeout is 124, a cancel 130, a signal 128 + n. What a run had
    (containers, networks, files of its slaves) is removed after its end was told.

    \b
    Example:
      git push nap master && nap wait hello
    """
    from receiver.text.format import ending, exit_status

    number = find_run(app, run)["number"]
    ended = next(client().frames(path("apps", app, "runs", number, "wait")), None)
    if ended is None:
        raise ReceiverError(
            f"the receiver went away while run {number} of {app} was waited for",
            f"the run goes on; nap up, then: nap wait {app} {number}",
        )
    if clean:
        client().post(path("apps", app, "runs", number, "cleanup"))
    if as_json:
        print_json(ended)
    click.echo(ending(app, ended), err=True)
    ctx.exit(exit_status(ended))


@click.command()
@app_argument
@run_argument
@json_option
def cancel(app: str, run: int | None, as_json: bool) -> None:
    """Stop every process of a run.

    When none is named: the newest one that is at work, rather than one that waits for it; and rather any of
    these than a service that is up, which a push is about to replace.

    \b
    Example:
      nap cancel hello
      nap cancel hello 3
    """
    from receiver.text.format import ending, has_ended

    found = find_run(app, run) if run else _meant(app)
    number = found["number"]
    value = client().post(path("apps", app, "runs", number, "cancel"))
    if as_json:
        print_json(value)
    else:
        click.echo(("it has ended already: " if has_ended(found) else "") + ending(app, value), err=True)
        _tell_of_others(app, number)


def _meant(app: str) -> dict[str, Any]:
    """The run that is to be cancelled where none is named; where all have ended, the latest one."""
    return max(_unfinished(app), key=_precedence, default=None) or find_run(app, None)


def _precedence(run: dict[str, Any]) -> tuple[bool, bool, int]:
    is_up = run["service"] and run["state"] == "running"
    return not is_up, run["state"] != "waiting", run["number"]


def _unfinished(app: str) -> list[dict[str, Any]]:
    from receiver.text.format import has_ended

    values: list[dict[str, Any]] = client().get(path("apps", app, "runs"))
    return [value for value in values if not has_ended(value)]


def _tell_of_others(app: str, cancelled: int) -> None:
    for value in _unfinished(app):
        if value["number"] < cancelled:
            number = value["number"]
            click.echo(f"run {number} goes on; stop it: nap cancel {app} {number}", err=True)
