"""`nap` starts here; whatever goes wrong is told in one sentence and a hint."""

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
    """Run the command line and exit with its status. Shows no traceback, whatever happens."""
    _have_streams()
    try:
        status = _run()
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        status = _report(error)
    sys.exit(status)


def _have_streams() -> None:
    """Open what was closed: else the next file takes its number, and a daemon's lock is lost to it."""
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
        # A file name that is no UTF-8 is written as it came.
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
    """A mistake on the command line, with the command to ask for help as its hint."""
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
    """What no part of nap foresaw: the traceback goes to the log, a sentence to the user."""
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
