"""The API of runs: start, follow, wait, cancel and clean up."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from buildpacks.plan import from_json
from receiver.daemon.responses import Answer, Responses, body, line
from receiver.daemon.run_end import RunEnd
from receiver.daemon.streaming import kept_alive
from receiver.errors import ReceiverError
from receiver.ledger import record
from receiver.ledger.ledger import Run
from receiver.push import pusher
from receiver.runs import jobs, story
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher, Prelude

_NUMBER = "[0-9]{1,18}"  # fits into SQLite's 64-bit integers


class RunsApi:
    """One method per route; each returns a JSON value, or a complete response."""

    def __init__(self, context: Context, dispatcher: Dispatcher, responses: Responses) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._responses = responses
        self._end = RunEnd(context, dispatcher)

    def routes(self) -> list[tuple[str, str, Answer]]:
        run = "/apps/{app}/runs/{number}"
        return [
            ("GET", "/apps/{app}/runs", self.runs),
            ("POST", "/apps/{app}/runs", self.start),
            ("GET", run, self.run),
            ("GET", run + "/log", self.log),
            ("GET", run + "/wait", self.wait),
            ("GET", run + "/results", self.results),
            ("POST", run + "/cancel", self.cancel),
            ("POST", run + "/cleanup", self.cleanup),
        ]

    async def runs(self, request: Request) -> Any:
        return [record.as_json(run) for run in self._context.ledger.runs(request.path_params["app"])]

    async def start(self, request: Request) -> Any:
        asked = await body(request)
        release = self._context.ledger.get_release(request.path_params["app"], asked.get("release"))
        options = asked.get("options") or {}
        if not isinstance(options, dict):
            raise ReceiverError("a run's options are not an object of names and values", "see: nap run -h")
        words = [f"{name}={value}" if name in jobs.OPTIONS else name for name, value in options.items()]
        checked = jobs.parse_options(words)
        plan = from_json(release.plan)
        self._context.preparer.refuse(plan, release.app, checked)
        prelude = Prelude(who=pusher.name(os.getuid(), {}))
        accept = self._dispatcher.accept
        run, _ = await asyncio.to_thread(
            accept, release.app, release.commit_id, checked, prelude, release.number
        )  # fmt: skip
        return record.as_json(run)

    async def run(self, request: Request) -> Any:
        return record.as_json(self._named(request))

    async def log(self, request: Request) -> Any:
        """Stream the story: so far (`follow=0`), until a service is up (`follow=up`), or to its end."""
        run = self._named(request)
        folder = self._context.home.run(run.app, run.number)
        until = request.query_params.get("follow", "0")

        async def lines() -> AsyncIterator[bytes]:
            if until != "0" and self._dispatcher.has(run):
                over = partial(self._end.is_over, run)
                async for frame in story.follow(self._context.changes, folder, over=over):
                    if frame.settled and until == "up":
                        break
                    if not (frame.end or frame.settled):
                        yield line(frame.as_json())
            else:
                for frame in story.told(folder):
                    yield line(frame.as_json())
            yield line({"end": record.as_json(self._context.ledger.run(run.app, run.number))})

        return StreamingResponse(kept_alive(lines()), media_type="application/x-ndjson")

    async def wait(self, request: Request) -> Any:
        run = self._named(request)

        async def value() -> Any:
            return record.as_json(await self._end.ended(run))

        async def lines() -> AsyncIterator[bytes]:
            yield line(await self._responses.value_or_refusal(value()))

        return StreamingResponse(kept_alive(lines()), media_type="application/x-ndjson")

    async def cleanup(self, request: Request) -> Any:
        """Wait for the run's end, and answer once everything of the run but its record is removed."""
        return self._responses.in_its_time(self._cleaned(self._named(request)))

    async def _cleaned(self, run: Run) -> Any:
        ended = await self._end.ended(run)
        await asyncio.to_thread(self._context.cleanup.run, run.app, run.number)
        return record.as_json(ended)

    async def results(self, request: Request) -> Any:
        run = self._named(request)
        return await asyncio.to_thread(self._kept, run)

    def _kept(self, run: Run) -> Any:
        folder = self._context.home.run(run.app, run.number) / "results"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [
            {"name": str(path.relative_to(folder)), "size": path.stat().st_size, "path": str(path)}
            for path in files
        ]

    async def cancel(self, request: Request) -> Any:
        return self._responses.in_its_time(self._cancelled(self._named(request)))

    async def _cancelled(self, run: Run) -> Any:
        await self._end.stopped(run)
        return record.as_json(await self._end.ended(run))

    def _named(self, request: Request) -> Run:
        number = request.path_params["number"]
        if number != "latest" and not re.fullmatch(_NUMBER, number):
            raise ReceiverError(f"{number!r} is not the number of a run", "see: nap runs APP")
        chosen = None if number == "latest" else int(number)
        return self._context.ledger.run(request.path_params["app"], chosen)
