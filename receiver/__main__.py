"""Entry point of `nap`. Every error is reported in one sentence and a hint."""

from __future__ import annotations

if __name__ == "__main__":
    import nap_start

    nap_start.main()

import io
import os
import sys
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError, explain

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    """Run the command line and exit with its status. Never show a traceback."""
    _have_streams()
    try:
        status = _run()
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        status = _report(error)
    sys.exit(status)


def _have_streams() -> None:
    """Open closed standard streams on /dev/null.

    Otherwise the next opened file gets the number 0, 1 or 2, and a daemon could lose its lock that way.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _run() -> int:
    import click

    from receiver.cli.group import nap

    try:
        # File names that are not UTF-8 are written back byte for byte.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        status = nap.main(prog_name="nap", standalone_mode=False)
    except click.Abort as abort:
        raise KeyboardInterrupt from abort
    except click.ClickException as error:
        print(explain(_usage(error)), file=sys.stderr)
        return error.exit_code
    return status if isinstance(status, int) else 0


def _usage(error: Exception) -> Exception:
    """Return a usage error with the matching `--help` command as its hint."""
    context = getattr(error, "ctx", None)
    if context is None or hasattr(error, "hint"):
        return error
    sentence = error.format_message() if hasattr(error, "format_message") else str(error)
    return ReceiverError(sentence.rstrip("."), f"{context.command_path} --help")


def _report(error: Exception) -> int:
    if not (hasattr(error, "message") and hasattr(error, "hint")):
        error = _unexpected(error)
    print(explain(error), file=sys.stderr)
    return 1


def _unexpected(error: Exception) -> ReceiverError:
    """Write an unforeseen error's traceback to the log, and return a one-sentence error for the user."""
    from receiver.client import nap_home
    from receiver.home.paths import Home

    log = Home(nap_home()).log / "nap.log"
    sentence = f"nap failed in a way it did not foresee ({type(error).__name__}: {error})"
    try:
        _write_traceback(log, error)
    except OSError as unwritable:
        return ReceiverError(sentence, f"{log} cannot be written: {unwritable.strerror}")
    return ReceiverError(sentence, f"please report it with the traceback in {log}")


def _write_traceback(log: Path, error: Exception) -> None:
    import traceback
    from datetime import datetime

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now().astimezone().isoformat()} nap {' '.join(sys.argv[1:2])}\n")
        file.writelines(traceback.format_exception(error))
