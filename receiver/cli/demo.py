"""demo: an app from the examples, pushed for real."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from textwrap import indent

import click

from receiver.cli.common import client
from receiver.errors import ReceiverError

EXAMPLE = "hello"
_IDENTITY = {"user.name": "nap demo", "user.email": "demo@localhost", "commit.gpgsign": "false"}


@click.command()
def demo() -> None:
    """Start nap, and push the hello example from a repository of its own.

    \b
    Example:
      nap demo
    """
    from receiver.client import nap_home
    from receiver.daemon import lifecycle

    example = find_example()
    lifecycle.up(nap_home(), None, click.echo)
    app = client().post("/apps", {"name": free_name()})
    folder = make_repository(example, app["app"], app["remote"])
    push(folder)
    click.echo(next_steps(app["app"], folder))


def find_example() -> Path:
    """The example that came with nap: in a clone the folder is a link."""
    folder = Path(__file__).parents[1] / "examples" / EXAMPLE
    if not folder.is_dir():
        raise ReceiverError(f"the examples are not here (looked for {folder})", "install nap anew")
    return folder


def free_name() -> str:
    """hello, or the first of hello2, hello3, ... that is no app yet."""
    taken = {app["app"] for app in client().get("/apps")}
    return next(name for name in _names() if name not in taken)


def _names() -> Iterator[str]:
    return chain([EXAMPLE], (f"{EXAMPLE}{number}" for number in count(2)))


def make_repository(example: Path, app: str, remote: str) -> Path:
    """Commit a copy of the example to a new repository with the remote `nap`; it is kept."""
    from tempfile import mkdtemp

    folder = Path(mkdtemp(prefix="nap-demo-")) / app
    shutil.copytree(example, folder)
    _git(folder, "init", "--quiet")
    _git(folder, "symbolic-ref", "HEAD", "refs/heads/master")
    for key, value in _IDENTITY.items():
        _git(folder, "config", key, value)
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--no-verify", "--message", f"The {EXAMPLE} example")
    _git(folder, "remote", "add", "nap", remote)
    return folder


def push(folder: Path) -> None:
    """Push for real: git writes to this terminal as it does for everyone."""
    command = ["push", "nap", "master"]
    click.echo(f"$ cd {shlex.quote(str(folder))}\n$ git {shlex.join(command)}")
    _git(folder, *command)


def next_steps(app: str, folder: Path) -> str:
    from receiver.text.format import pairs

    activate = Path(sys.prefix) / "bin" / "activate"
    first = {} if shutil.which("nap") else {f". {shlex.quote(str(activate))}": "have nap on your PATH"}
    steps = {
        **first,
        f"nap logs {app}": "its output again",
        f"cd {shlex.quote(str(folder))}": "the repository it came from: yours to change or to delete",
        "git push nap master -o np=8": "the same program with 8 ranks",
        "nap create NAME": "an app for a program of your own",
    }
    return f"\nThat was a run of {app}. What to do next:\n{indent(pairs(steps), '  ')}"


def _git(folder: Path, *arguments: str) -> None:
    command: Sequence[str] = ["git", *arguments]
    try:
        ended = subprocess.run(command, cwd=folder, env=_environment(), check=False)
    except FileNotFoundError as error:
        raise ReceiverError("git is not installed", "apt-get install git") from error
    if ended.returncode != 0:
        raise ReceiverError(
            f"{shlex.join(command)} ended with {ended.returncode} in {folder}",
            "what git and nap said stands above",
        )


def _environment() -> dict[str, str]:
    """This environment without git's own variables: a demo inside a hook has its own repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
