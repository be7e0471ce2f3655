"""Answers that come in lines: whoever reads can tell a silent run from a receiver that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from receiver.daemon.streaming import kept_alive

PATIENCE = 20


def test_lines_come_as_they_are() -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"

    async def read() -> list[bytes]:
        return [line async for line in kept_alive(lines())]

    assert asyncio.run(read()) == [b"one\n", b"two\n"]


def test_silence_is_filled_with_blank_lines() -> None:
    async def read() -> list[bytes]:
        heard = asyncio.Event()
        seen = []

        async def lines() -> AsyncIterator[bytes]:
            await heard.wait()
            yield b"late\n"

        async for line in kept_alive(lines(), 0.001):
            seen.append(line)
            if len(seen) == 2:
                heard.set()
        return seen

    seen = asyncio.run(asyncio.wait_for(read(), PATIENCE))
    assert seen[:2] == [b"\n", b"\n"]
    assert seen[-1] == b"late\n"


def test_an_error_goes_through() -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise OSError("cut")

    async def read() -> list[bytes]:
        return [line async for line in kept_alive(lines())]

    with pytest.raises(OSError, match="cut"):
        asyncio.run(read())


def test_who_leaves_ends_the_work_behind_it() -> None:
    async def read() -> bool:
        ended = asyncio.Event()

        async def lines() -> AsyncIterator[bytes]:
            try:
                await asyncio.Event().wait()
                yield b""
            finally:
                ended.set()

        reading = kept_alive(lines(), 0.001)
        assert await anext(reading) == b"\n"
        await reading.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(ended.wait(), PATIENCE)
        return ended.is_set()

    assert asyncio.run(read())
