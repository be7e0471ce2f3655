"""The files of a container that are results: its run made or changed them, and they match its globs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from units.globs import fits

_LINE = re.compile("\n(?=[ACD] /)")


@dataclass(frozen=True)
class Wanted:
    """The results in one container: they are copied as one archive of `folder`, relative to `workdir`."""

    workdir: PurePosixPath
    folder: PurePosixPath
    names: frozenset[PurePosixPath]

    @classmethod
    def of(cls, diff: bytes, workdir: PurePosixPath, patterns: Sequence[str]) -> Wanted | None:
        """Return the results among the changes in a runtime's `diff` output; None when there are none."""
        found = {path for path in changed(diff, workdir) if fits(path, patterns)}
        files = found - {parent for path in found for parent in path.parents}
        if not files:
            return None
        folder = PurePosixPath(os.path.commonpath([path.parent for path in files]))
        return cls(workdir, folder, frozenset(path.relative_to(folder) for path in files))

    def source(self, container: str) -> str:
        """Return the source argument of `cp`: the folder's content, or a single file."""
        only = next(iter(self.names)) if len(self.names) == 1 else "."
        return f"{container}:{self.workdir / self.folder}/{only}"

    def takes(self, name: PurePosixPath) -> bool:
        """Return whether the archive's member `name` is a result."""
        return name in self.names


def changed(diff: bytes, workdir: PurePosixPath) -> list[PurePosixPath]:
    """Return the paths that the run made or changed below `workdir`, from the output of a runtime's `diff`.

    Each line has one path. A line without a change letter continues a name that contains a newline.
    """
    lines = os.fsdecode(diff).removesuffix("\n")
    paths = [PurePosixPath(line[2:]) for line in _LINE.split(lines) if line[:2] in ("A ", "C ")]
    return [path.relative_to(workdir) for path in paths if workdir in path.parents]
