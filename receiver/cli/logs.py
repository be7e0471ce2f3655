"""logs: a run's story on stderr, its program's output, byte for byte, on stdout."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from typing import Any

import click

from receiver.cli.common import app_argument, client, find_run, json_option, path, run_argument
from receiver.errors import ReceiverError


@click.command()
@app_argument
@run_argument
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the run ends.")
@json_option
def logs(app: str, run: int | None, following: bool, as_json: bool) -> None:
    """Show a run's log (the latest run's, when none is named).

    The program's output goes to stdout as it was written; what nap says about the run goes to
    stderr. With --json each frame of the log is one line of JSON, output in base64.

    \b
    Example:
      nap logs hello -f
      nap logs hello 3 > output.txt
    """
    number = find_run(app, run)["number"]
    follow(app, number, until="1" if following else "0", as_json=as_json)


def follow(app: str, number: int, until: str, as_json: bool = False) -> dict[str, Any]:
    """Print a run's frames as they come. Returns the run as the last frame told it.

    `until` is `0`, what there is by now; `1`, the run's end; or `up`: a service, which has no end, is
    followed until it answers.
    Raises ReceiverError when a run that is followed is cut off before its end.
    """
    where = f"{path('apps', app, 'runs', number, 'log')}?follow={until}"
    run: dict[str, Any] = {}
    screen = Screen()
    for frame in client().frames(where):
        if as_json:
            click.echo(json.dumps(frame))
        else:
            screen.show(frame)
        run = frame.get("end", run)
    if until != "0" and not run:
        raise ReceiverError(
            f"the receiver went away while run {number} of {app} was followed",
            f"the run goes on; nap up, then: nap logs {app} {number} -f",
        )
    return run


class Screen:
    """Shows frames. On a terminal, where both come together, each line of nap's begins at its left."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        self._in_line = False

    def show(self, frame: dict[str, Any]) -> None:
        if "story" in frame:
            if self._in_line and self._is_terminal:
                click.echo()
            self._in_line = False
            click.echo(frame["story"], err=True)
        elif "output" in frame:
            output = b64decode(frame["output"])
            click.echo(output, nl=False)
            self._in_line = not output.endswith(b"\n")
