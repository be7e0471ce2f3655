"""Answers in lines that can take as long as a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

KEEP_ALIVE = 15.0


async def kept_alive(lines: AsyncIterator[bytes], seconds: float = KEEP_ALIVE) -> AsyncIterator[bytes]:
    """Yield the lines as they come, and a blank one after each `seconds` of silence.

    By this heartbeat the client detects a receiver that has died.
    """
    coming = asyncio.ensure_future(_next(lines))
    try:
        while True:
            if not (await asyncio.wait([coming], timeout=seconds))[0]:
                yield b"\n"
                continue
            line = coming.result()
            if line is None:
                return
            yield line
            coming = asyncio.ensure_future(_next(lines))
    finally:
        coming.cancel()


async def _next(lines: AsyncIterator[bytes]) -> bytes | None:
    return await anext(lines, None)
