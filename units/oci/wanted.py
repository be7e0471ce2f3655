"""Which files of a container are results: those that its run made or changed, and that match its globs."""

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
    """The files of one container that are results: they come as one archive, of `folder` in its `workdir`."""

    workdir: PurePosixPath
    folder: PurePosixPath
    names: frozenset[PurePosixPath]

    @classmethod
    def of(cls, diff: bytes, workdir: PurePosixPath, patterns: Sequence[str]) -> Wanted | None:
        """`diff` is what a runtime says that the run has made or changed. None when nothing fits."""
        found = {path for path in changed(diff, workdir) if fits(path, patterns)}
        files = found - {parent for path in found for parent in path.parents}
        if not files:
            return None
        folder = PurePosixPath(os.path.commonpath([path.parent for path in files]))
        return cls(workdir, folder, frozenset(path.relative_to(folder) for path in files))

    def source(self, container: str) -> str:
        """What is copied, as runtimes call it: the folder's content, or a single file."""
        only = next(iter(self.names)) if len(self.names) == 1 else "."
        return f"{container}:{self.workdir / self.folder}/{only}"

    def takes(self, name: PurePosixPath) -> bool:
        """Whether it is one of them, by its name in the archive."""
        return name in self.names


def changed(diff: bytes, workdir: PurePosixPath) -> list[PurePosixPath]:
    """What the run made or changed below `workdir`, from what a runtime's `diff` says of a container.

    A line each; what does not begin like one belongs to a name with a line's end in it.
    """
    lines = os.fsdecode(diff).removesuffix("\n")
    paths = [PurePosixPath(line[2:]) for line in _LINE.split(lines) if line[:2] in ("A ", "C ")]
    return [path.relative_to(workdir) for path in paths if workdir in path.parents]
