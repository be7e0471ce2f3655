"""Files that are whole after a crash, or not there: on disk first, in their place then."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
