"""Records of the stack images that were built: one JSON file for each recipe, named by its key."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from buildpacks.stacks import image_stacks
from buildpacks.stacks.image_stacks import Recipe
from buildpacks.stacks.stack import Stack


@dataclass(frozen=True)
class Built:
    """The two images of a recipe: references by digest, and their unpacked sizes in bytes.

    `told` is the output of `mpirun --version` in the run image, empty where the recipe knows the MPI.
    `below` is the build image to which packages were added, empty without packages. `created` is an ISO time
    in UTC.
    """

    key: str
    name: str
    packages: tuple[str, ...]
    base: str
    build: str
    run: str
    build_size: int
    run_size: int
    told: str
    below: str
    created: str

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.name, self.packages, self.base)

    @property
    def stack(self) -> Stack:
        return image_stacks.stack(self.recipe, self.build, self.run, self.told)

    @property
    def references(self) -> set[str]:
        return {self.build, self.run}

    @property
    def is_current(self) -> bool:
        """Whether the recipe of this name still has the same key."""
        return self.recipe.key == self.key


class StackRecords:
    """The records in `folder`, which is created by the first write or lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, recipe: Recipe) -> Built | None:
        """Return what was built by this recipe; None without a usable record."""
        return _read(self._file(recipe.key))

    def keep(self, built: Built) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(built.key)
        # Written aside and renamed, so that readers see a whole record.
        unfinished = file.with_suffix(f".{os.getpid()}.new")
        unfinished.write_text(json.dumps(asdict(built), indent=1))
        unfinished.replace(file)

    def drop(self, built: Built) -> None:
        self._file(built.key).unlink(missing_ok=True)

    def all(self) -> list[Built]:
        """Return all records, oldest first."""
        found = [built for file in self._folder.glob("*.json") if (built := _read(file))]
        return sorted(found, key=lambda built: (built.created, built.key))

    def lock(self, key: str) -> Path:
        """Return the file that a builder of this key locks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{key}.lock"

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def now() -> str:
    """Return the time as records have it: ISO, UTC, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _read(file: Path) -> Built | None:
    """Read a record. None without one, or when it was written by an incompatible version of nap."""
    try:
        found = json.loads(file.read_text())
        built = Built(**{**found, "packages": tuple(found["packages"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return built if built.name in image_stacks.KINDS else None
