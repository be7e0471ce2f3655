"""How a run ended, in its folder: on the disk, with all that the program wrote, before anybody sees it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from units import durable
from units.job import Handle, Outcome

_NAME = "exit"  # a run's runner writes it too: units/running/record.py


def keep_room(folder: Path) -> None:
    """For the end to be written there one day: the disk may be full by then."""
    durable.keep_room(folder / _NAME)


def is_kept(folder: Path) -> bool:
    return (folder / _NAME).exists()


def keep(handle: Handle, outcome: Outcome) -> None:
    with handle.output.open("ab") as output:
        os.fsync(output.fileno())
    durable.write(handle.folder / _NAME, json.dumps(asdict(outcome)))


def kept(folder: Path) -> Outcome | None:
    """None where it was not kept."""
    try:
        return Outcome(**json.loads((folder / _NAME).read_text()))
    except FileNotFoundError:
        return None
