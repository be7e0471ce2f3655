"""Readers of folders are woken by one inotify instance, and look by themselves where there is none."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import asyncinotify
import pytest
from support.polling import inotify_instances

from receiver.runs.changes import Signal, StoryChanges

PATIENCE = 20


def instances() -> int:
    """inotify instances of this process."""
    return inotify_instances(os.getpid())


async def woken(signal: Signal) -> bool:
    return await asyncio.wait_for(signal.wait(), PATIENCE)


def none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the user's instances are used up by others."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncinotify, "Inotify", fail)


def no_more_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(asyncinotify.Inotify, "add_watch", fail)


def all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel as it is."""


anyhow = pytest.mark.parametrize("kernel", [all_there, none_at_all, no_more_watches])
Kernel = Callable[[pytest.MonkeyPatch], None]


@anyhow
def test_a_reader_is_woken_by_what_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    kernel(monkeypatch)

    async def read() -> bool:
        with StoryChanges().of(tmp_path) as signal:
            (tmp_path / "story").write_text("a line\n")
            return await woken(signal)

    assert asyncio.run(read()) is True
    assert instances() == 0


@anyhow
def test_a_reader_is_told_that_the_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    kernel(monkeypatch)
    folder = tmp_path / "run"
    folder.mkdir()

    async def read() -> bool:
        with StoryChanges().of(folder) as signal:
            shutil.rmtree(folder)
            return await woken(signal)

    assert asyncio.run(read()) is False
    assert instances() == 0


def test_a_folder_that_is_not_there_is_gone(tmp_path: Path) -> None:
    async def read() -> bool:
        with StoryChanges().of(tmp_path / "none") as signal:
            return await woken(signal)

    assert asyncio.run(read()) is False


def test_many_readers_of_many_folders_have_one_instance_while_there_are_any(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        folder.mkdir()

    async def read() -> list[int]:
        changes, counted = StoryChanges(), [instances()]
        with ExitStack() as readers:
            signals = [readers.enter_context(changes.of(folder)) for folder in folders * 20]
            counted.append(instances())
            for folder in folders:
                (folder / "story").touch()
            assert all(await asyncio.gather(*map(woken, signals)))
        return [*counted, instances()]

    assert asyncio.run(read()) == [0, 1, 0]


def test_who_leaves_takes_no_others_signal_along(tmp_path: Path) -> None:
    async def read() -> bool:
        changes = StoryChanges()
        with changes.of(tmp_path) as stays:
            with changes.of(tmp_path) as leaves:
                (tmp_path / "first").touch()
                await woken(leaves)
            stays.changed.clear()
            (tmp_path / "second").touch()
            return await woken(stays) and stays.watched

    assert asyncio.run(read())


def test_a_folder_that_is_made_anew_is_another_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()

    async def read() -> bool:
        changes = StoryChanges()
        with changes.of(tmp_path), changes.of(folder) as old:
            shutil.rmtree(folder)
            folder.mkdir()
            with changes.of(folder) as new:
                assert await woken(old) is False
                (folder / "story").touch()
                return await woken(new)

    assert asyncio.run(read()) is True
