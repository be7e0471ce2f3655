"""Record in a run's folder how it ended. The program's output is on disk before the record can be read."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

from units import durable, nofollow
from units.job import Handle, Outcome

_NAME = "exit"  # the runner writes this file too: units/supervisor/record.py


def keep_room(folder: Path) -> None:
    """Reserve disk space for the record of the end: the disk can be full by then."""
    durable.keep_room(folder / _NAME)


def is_kept(folder: Path) -> bool:
    return (folder / _NAME).exists()


def keep(handle: Handle, outcome: Outcome) -> None:
    """Write the record, once the output is on disk. An outcome without an end time ended now."""
    with handle.output.open("ab") as output:
        os.fsync(output.fileno())
    seen = replace(outcome, ended=outcome.ended or time.time())
    durable.write(handle.folder / _NAME, json.dumps(asdict(seen)))


def kept(folder: Path) -> Outcome | None:
    """Return the recorded outcome; None when there is none, or it cannot be read.

    Older versions wrote no times: the file's modification time is the end time then.
    """
    path = folder / _NAME
    try:
        said = json.loads(nofollow.read(path))
        return Outcome(**{"ended": path.lstat().st_mtime, **said})
    except (FileNotFoundError, ValueError, TypeError):
        return None
