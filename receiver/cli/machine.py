"""up, down, status, doctor: the receiver and the machine it is on."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from receiver import engine_choice
from receiver.cli.common import client, json_option, print_json


@click.command()
@click.option("--engine", metavar="NAME", help=f"What units run on: {', '.join(engine_choice.NAMES)}.")
def up(engine: str | None) -> None:
    """Start etcd and the receiver; does nothing when they run.

    An engine that is named here is kept: the next `nap up` without one takes it again, unless the
    settings name another.

    \b
    Example:
      nap up
      nap up --engine containers
    """
    from receiver.client import nap_home
    from receiver.daemon import lifecycle
    from receiver.home.paths import Home
    from receiver.push import preflight

    root = nap_home()
    try:
        lifecycle.up(root, engine, click.echo)
    except Exception as error:
        raise preflight.onward(error, Home(root)) from error


@click.command()
def down() -> None:
    """Stop the receiver and what it started.

    \b
    Example:
      nap down
    """
    from receiver.client import nap_home
    from receiver.daemon import lifecycle

    lifecycle.down(nap_home(), click.echo)


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the receiver: where it is and what it uses.

    `left` are runs that have ended, of which something is still to be removed.

    \b
    Example:
      nap status --json | jq .pid
    """
    from receiver.text.format import pairs

    value = client().get("/status")
    if as_json:
        print_json(value)
    else:
        etcd = f"{value['etcd']['url']} (api {value['etcd']['api']})"
        left = ", ".join(value.get("left", ())) or None
        click.echo(pairs({**value, "etcd": etcd, "left": left}))


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine can do, and what to install for the rest.

    Exits with 1 only when something is missing that nap cannot work without.

    \b
    Example:
      nap doctor
    """
    from receiver.client import nap_home
    from receiver.doctor.checks import examine, report
    from receiver.findings import this_machine

    findings = examine(this_machine(nap_home()))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        click.echo(report(findings, sudo=os.geteuid() != 0))
    ctx.exit(1 if any(finding.ok is False for finding in findings) else 0)
