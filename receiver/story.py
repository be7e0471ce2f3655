"""A run's story: what nap says of it, on disk before anybody sees it, and the program's output beside it.

`story` has a JSON line for each of nap's, with how much of `output` had been written before; the
program writes `output` itself. Put together again they are what was to be seen, in its order.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = 1 << 16


class Story:
    """The writing side, for one run; `folder` is the run's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def say(self, *lines: str) -> None:
        """On disk when this returns."""
        self._write(*({"say": line} for line in lines))

    def settle(self) -> None:
        """A service is up: whoever waits for that need not look on."""
        self._write({"settled": True})

    def end(self) -> None:
        """Nothing comes after this."""
        self._write({"end": True})

    def size(self) -> int:
        """Where the story ends by now: a cursor to follow it from."""
        path = self._folder / "story"
        return path.stat().st_size if path.exists() else 0

    def _write(self, *records: dict[str, Any]) -> None:
        output = self._folder / "output"
        at = output.stat().st_size if output.exists() else 0
        with (self._folder / "story").open("a") as story:
            story.writelines(json.dumps({**record, "at": at}) + "\n" for record in records)
            story.flush()
            os.fsync(story.fileno())


@dataclass(frozen=True)
class Frame:
    """A piece of a run as it was seen: a line of nap's, or bytes of the program's, or a mark."""

    say: str = ""
    output: bytes = b""
    settled: bool = False
    end: bool = False

    def as_json(self) -> dict[str, Any]:
        if self.output:
            return {"output": base64.b64encode(self.output).decode()}
        return {"story": self.say}


class Reader:
    """The reading side: `new` gives what has come since it was last asked. Holds no file open."""

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
            yield Frame(say=record.get("say", ""), settled="settled" in record)
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
            yield json.loads(line)

    def _output_until(self, end: int | None) -> Iterator[Frame]:
        try:
            with (self._folder / "output").open("rb") as output:
                output.seek(self._output)
                while data := output.read(_BLOCK if end is None else max(0, min(_BLOCK, end - self._output))):
                    self._output += len(data)
                    yield Frame(output=data)
        except FileNotFoundError:
            return


async def follow(folder: Path, cursor: int = 0) -> AsyncIterator[Frame]:
    """Everything of a run's story, as it comes, up to its end. Waits without a thread or a timer.

    A story whose folder is taken away is over.
    """
    from asyncinotify import Inotify, Mask

    with Inotify() as changes:
        changes.add_watch(folder, Mask.MODIFY | Mask.CREATE)
        reader = Reader(folder, cursor)
        while True:
            for frame in reader.new():
                yield frame
                if frame.end:
                    return
            if (await changes.get()).mask & Mask.IGNORED:
                return


def told(folder: Path) -> Iterator[Frame]:
    """What there is by now."""
    return (frame for frame in Reader(folder).new() if not (frame.end or frame.settled))
