"""A line to machines that are far away: `python bench/slow_line.py PORT ADDRESS...`.

What is said to port PORT of 127.0.1.1, .2, ... arrives HALF seconds later at that port of the first, second,
... ADDRESS, and so does the answer. A connection takes a round trip to open. It goes on until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

HALF = 0.025
_CHUNK = 1 << 16


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def here(number: int) -> str:
    """Where that machine seems to be."""
    return f"127.0.1.{number}"


def to(machine: str, port: int) -> Talk:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * HALF)
        there, answers = await asyncio.open_connection(machine, port)
        await asyncio.gather(late(reader, answers), late(there, writer))

    return carry


async def main(port: int, machines: list[str]) -> None:
    for number, machine in enumerate(machines, 1):
        await asyncio.start_server(to(machine, port), here(number), port)
    print("open", flush=True)
    await asyncio.Event().wait()


async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, in its order, each piece so much later; then the end."""
    loop = asyncio.get_running_loop()
    try:
        while piece := await reader.read(_CHUNK):
            loop.call_later(HALF, writer.write, piece)
    except ConnectionError:
        pass
    loop.call_later(HALF, writer.close)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
