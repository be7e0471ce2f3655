"""A run's story: nap's lines, on disk before they are shown, and the program's output beside them.

The file `story` has a JSON record for each line of nap's, with the size of `output` at that time; the
program writes `output` itself. A reader merges both into the original order.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.printable import printable
from receiver.runs.changes import StoryChanges

_BLOCK = 1 << 16
_DAMAGED = "       (a line of this story cannot be read)"


class Story:
    """The writer of one run's story; `folder` is the run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def say(self, *lines: str) -> None:
        """Append lines. They are on disk (fsync) when this returns."""
        self._write(*({"say": line} for line in lines))

    def settle(self) -> None:
        """Mark that a service is up: readers that wait for that can stop here."""
        self._write({"settled": True})

    def end(self) -> None:
        """Mark the end of the story."""
        self._write({"end": True})

    def size(self) -> int:
        """Return the story's size in bytes: a cursor to follow it from."""
        path = self._folder / "story"
        return path.stat().st_size if path.exists() else 0

    def _write(self, *records: dict[str, Any]) -> None:
        output = self._folder / "output"
        at = output.stat().st_size if output.exists() else 0
        lines = "".join(json.dumps({**record, "at": at}) + "\n" for record in records)
        with (self._folder / "story").open("a+b", buffering=0) as story:
            whole = story.seek(0, os.SEEK_END)
            # A killed writer can have left a line without its end: begin a new one.
            broken = whole and os.pread(story.fileno(), 1, whole - 1) != b"\n"
            try:
                _write_all(story.fileno(), b"\n" * broken + lines.encode())
                os.fsync(story.fileno())
            except OSError:
                # Remove what was written: an incomplete line would spoil the next one.
                story.truncate(whole)
                raise


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@dataclass(frozen=True)
class Frame:
    """A piece of a run's log: a line of nap's, bytes of the program's output, or a mark."""

    say: str = ""
    output: bytes = b""
    settled: bool = False
    end: bool = False

    def as_json(self) -> dict[str, Any]:
        if self.output:
            return {"output": base64.b64encode(self.output).decode()}
        return {"story": self.say}


class Reader:
    """The reader of a story: `new` yields what was added since its last call. It keeps no file open."""

    def __init__(self, folder: Path, cursor: int = 0) -> None:
        self._folder = folder
        self._story = cursor
        self._output = 0

    def new(self) -> Iterator[Frame]:
        for record in self._records():
            yield from self._output_until(record["at"])
            if "end" in record:
                yield from self._output_until(None)
                yield Frame(end=True)
                return
            yield Frame(say=printable(record.get("say", "")), settled="settled" in record)
        yield from self._output_until(None)

    def _records(self) -> Iterator[dict[str, Any]]:
        try:
            with (self._folder / "story").open("rb") as story:
                story.seek(self._story)
                data = story.read()
        except FileNotFoundError:
            return
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._story += len(line)
            yield _record(line) or {"say": _DAMAGED, "at": self._output}

    def _output_until(self, end: int | None) -> Iterator[Frame]:
        try:
            with (self._folder / "output").open("rb") as output:
                output.seek(self._output)
                while data := output.read(_BLOCK if end is None else max(0, min(_BLOCK, end - self._output))):
                    self._output += len(data)
                    yield Frame(output=data)
        except FileNotFoundError:
            return


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the line's record; None if it is invalid, as after disk damage or manual editing."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or type(record.get("at")) is not int:
        return None
    return record if isinstance(record.get("say", ""), str) else None


async def follow(
    changes: StoryChanges, folder: Path, cursor: int = 0, over: Callable[[], bool] = lambda: False
) -> AsyncIterator[Frame]:
    """Yield a run's story from `cursor` (bytes) on, as it grows, up to its end. Waits without a thread.

    Stop as well when the folder is removed, or when `over` returns True, which is checked on every
    change and after `wake`.
    """
    reader = Reader(folder, cursor)
    with changes.of(folder) as signal:
        while True:
            # Checked before reading: what was written until then is still yielded.
            nothing_more = over()
            for frame in reader.new():
                yield frame
                if frame.end:
                    return
            if nothing_more or not await signal.wait():
                return


def wake(folder: Path) -> None:
    """Make all followers check whether the story is over. This needs no disk space."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def told(folder: Path) -> Iterator[Frame]:
    """Yield the story's frames up to now, without marks."""
    return (frame for frame in Reader(folder).new() if not (frame.end or frame.settled))
