"""Turns values, refusals and lines into answers of the API."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from receiver.daemon.streaming import kept_alive
from receiver.errors import ReceiverError, foreseen

Answer = Callable[[Request], Awaitable[Any]]


class Responses:
    """The responses of one home: error texts name its folder and its log."""

    def __init__(self, home: Path, log: Path) -> None:
        self._home = home
        self._log = log
        self._begun: set[asyncio.Task[Any]] = set()

    def answering(self, call: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a call: its value becomes JSON, a refusal becomes status 400 with `error` and `hint`."""

        async def answer(request: Request) -> Response:
            try:
                value = await call(request)
            except Exception as error:
                if told := foreseen(error, self._home):
                    return AsciiJSON(_refusal(told), status_code=400)
                raise
            return value if isinstance(value, Response) else AsciiJSON(value)

        return answer

    def in_its_time(self, work: Awaitable[Any]) -> Response:
        """Return a response with heartbeats, for work that can take longer than a client's timeout.

        A refusal is sent like a value. The work is completed even if the client disconnects.
        """
        begun = asyncio.create_task(self.value_or_refusal(work))
        self._begun.add(begun)  # the event loop itself holds tasks by weak references only
        begun.add_done_callback(self._begun.discard)

        async def lines() -> AsyncIterator[bytes]:
            yield line(await asyncio.shield(begun))

        return StreamingResponse(kept_alive(lines()), media_type="application/json")

    async def value_or_refusal(self, work: Awaitable[Any]) -> Any:
        """Return the value of the work, or an object with the keys `error` and `hint`."""
        try:
            return await work
        except Exception as error:
            if told := foreseen(error, self._home):
                return _refusal(told)
            traceback.print_exception(error)
            return _refusal(ReceiverError("nap itself failed", f"the whole of it is in {self._log}"))


class AsciiJSON(JSONResponse):
    """JSON in ASCII: a file name that is not UTF-8 has surrogates, which only `\\u` can carry."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def line(value: Any) -> bytes:
    """Return a value as a line of JSON."""
    return json.dumps(value).encode() + b"\n"


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body. Raise ReceiverError for anything else."""
    try:
        value = await request.json()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ReceiverError("the request's body is not a JSON object", "is the command of another version?")
    return value


def _refusal(error: Any) -> dict[str, str]:
    # No value of the API has a key `error`: the client recognizes a refusal by it.
    return {"error": error.message, "hint": getattr(error, "hint", "")}


async def nowhere(request: Request, _error: Exception) -> Response:
    """Answer a request for an unknown path with status 404."""
    sentence = f"there is no {request.url.path}"
    return AsciiJSON({"error": sentence, "hint": "names of apps: see: nap apps"}, status_code=404)
