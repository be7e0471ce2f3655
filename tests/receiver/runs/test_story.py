"""A run's story: what is read later is what was seen, in its order, and nothing of it gets lost."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from receiver.runs.changes import StoryChanges
from receiver.runs.story import Frame, Reader, Story, follow, told, wake

PATIENCE = 20


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "1"


def write(folder: Path, data: bytes) -> None:
    with (folder / "output").open("ab") as output:
        output.write(data)


def text(frames: Iterable[Frame]) -> str:
    """The frames as somebody sees them."""
    return "".join(f"{frame.say}\n" if frame.say else frame.output.decode() for frame in frames)


def test_lines_and_output_come_in_the_order_in_which_they_were_written(story: Story, folder: Path) -> None:
    story.say("before")
    write(folder, b"one\ntwo\n")
    story.say("between")
    write(folder, b"three\n")
    story.end()
    write(folder, b"late\n")
    assert text(told(folder)) == "before\none\ntwo\nbetween\nthree\nlate\n"


def test_who_looks_on_sees_what_who_reads_later_sees(story: Story, folder: Path) -> None:
    reader = Reader(folder)
    seen: list[Frame] = []
    steps = [
        lambda: story.say("before"), lambda: write(folder, b"half a "), lambda: write(folder, b"line\n"),
        lambda: story.say("between"), lambda: write(folder, bytes(100_000)), story.settle, story.end,
    ]  # fmt: skip
    for step in steps:
        step()
        seen += reader.new()
    assert text(seen) == text(told(folder))
    assert all(frame.say or frame.output for frame in told(folder))
    assert seen[-1].end
    assert sum(frame.settled for frame in seen) == 1


def test_a_record_that_is_half_written_is_read_when_it_is_whole(story: Story, folder: Path) -> None:
    story.say("whole")
    with (folder / "story").open("a") as file:
        file.write('{"say": "ha')
        file.flush()
        reader = Reader(folder)
        assert text(reader.new()) == "whole\n"
        file.write('lf", "at": 0}\n')
    assert text(reader.new()) == "half\n"


def test_a_cursor_leaves_out_what_was_said_before_it(story: Story, folder: Path) -> None:
    assert story.size() == 0
    story.say("seen already")
    cursor = story.size()
    story.say("new")
    write(folder, b"output\n")
    assert text(Reader(folder, cursor).new()) == "new\noutput\n"


def test_a_line_is_on_disk_when_say_returns(story: Story, folder: Path) -> None:
    story.say("ünïcödé \udcff")
    assert next(told(folder)).say == "ünïcödé \udcff"


def test_a_run_that_has_said_nothing_has_no_frames(folder: Path) -> None:
    folder.mkdir()
    assert list(told(folder)) == []


def test_following_ends_with_the_story(story: Story, folder: Path) -> None:
    async def look_on() -> list[Frame]:
        seen = []
        story.say("first")
        async for frame in follow(StoryChanges(), folder):
            seen.append(frame)
            if frame.say == "first":
                write(folder, b"output\n")
            elif frame.output:
                story.end()
        return seen

    seen = asyncio.run(asyncio.wait_for(look_on(), PATIENCE))
    assert text(seen) == "first\noutput\n"


def test_following_ends_when_the_app_is_destroyed(story: Story, folder: Path) -> None:
    async def look_on() -> None:
        story.say("first")
        async for _ in follow(StoryChanges(), folder):
            shutil.rmtree(folder)

    asyncio.run(asyncio.wait_for(look_on(), PATIENCE))


def test_following_ends_when_nobody_will_end_the_story_any_more(story: Story, folder: Path) -> None:
    over = threading.Event()

    async def seen() -> list[str]:
        lines = []
        async for frame in follow(StoryChanges(), folder, over=over.is_set):
            lines.append(frame.say)
            over.set()
            wake(folder)
        return lines

    story.say("its last words")
    assert asyncio.run(asyncio.wait_for(seen(), PATIENCE)) == ["its last words"]
    assert asyncio.run(asyncio.wait_for(seen(), PATIENCE)) == ["its last words"]


@pytest.mark.parametrize(
    "line",
    [b"{", b"\xff\xfe", b"[]", b'"say"', b'{"say": "no place"}', b'{"say": 1, "at": 0}', b'{"at": true}',
     b"[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_no_record_is_said_to_be_and_hides_no_other(
    story: Story, folder: Path, line: bytes
) -> None:
    story.say("before")
    with (folder / "story").open("ab") as file:
        file.write(line + b"\n")
    write(folder, b"output\n")
    story.say("after")
    assert text(told(folder)) == "before\n       (a line of this story cannot be read)\noutput\nafter\n"


def test_a_line_for_which_there_was_no_room_leaves_no_part_of_itself(
    story: Story, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "no room")
        return real(file, data[:10])

    story.say("before")
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(OSError, match="no room"):
            story.say("too much")
    story.say("after")
    assert text(told(folder)) == "before\nafter\n"


def test_a_writer_that_died_in_a_line_spoils_no_other(story: Story, folder: Path) -> None:
    with (folder / "story").open("a") as file:
        file.write('{"say": "ha')
    story.say("whole")
    assert text(told(folder)).splitlines()[1:] == ["whole"]
