"""How a run ended, in its folder: on the disk, with all that the program wrote, before anybody sees it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

from units import durable, nofollow
from units.job import Handle, Outcome

_NAME = "exit"  # a run's runner writes it too: units/supervisor/record.py


def keep_room(folder: Path) -> None:
    """For the end to be written there one day: the disk may be full by then."""
    durable.keep_room(folder / _NAME)


def is_kept(folder: Path) -> bool:
    return (folder / _NAME).exists()


def keep(handle: Handle, outcome: Outcome) -> None:
    """Where nobody saw when it ended, that is now."""
    with handle.output.open("ab") as output:
        os.fsync(output.fileno())
    seen = replace(outcome, ended=outcome.ended or time.time())
    durable.write(handle.folder / _NAME, json.dumps(asdict(seen)))


def kept(folder: Path) -> Outcome | None:
    """None where it was not kept, or cannot be read. An older nap wrote no times: the file's is the end's."""
    path = folder / _NAME
    try:
        said = json.loads(nofollow.read(path))
        return Outcome(**{"ended": path.lstat().st_mtime, **said})
    except (FileNotFoundError, ValueError, TypeError):
        return None
