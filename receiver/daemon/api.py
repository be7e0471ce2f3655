"""The daemon's API for the `nap` command: JSON over HTTP on a Unix socket that only its user can open."""

from __future__ import annotations

import asyncio
import json
import os
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from buildpacks.plan import from_json
from receiver.daemon.streaming import kept_alive
from receiver.engines.export import Render, renderer
from receiver.errors import ReceiverError, foreseen
from receiver.ledger import record
from receiver.ledger.ledger import Release, Run
from receiver.push import pusher
from receiver.runs import apps, jobs, story
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher, Prelude
from receiver.version import VERSION
from units.job import Handle, Job

_NUMBER = "[0-9]{1,18}"  # what SQLite counts with

Answer = Callable[[Request], Awaitable[Any]]


class Api:
    """One method a resource; each returns a JSON value, or a response of its own."""

    def __init__(self, context: Context, dispatcher: Dispatcher, uses: Mapping[str, Any]) -> None:
        """`uses` is what the status says of etcd, and of what else the receiver needs."""
        self._context = context
        self._dispatcher = dispatcher
        self._uses = uses
        self._begun: set[asyncio.Task[Any]] = set()

    def application(self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]) -> Starlette:
        run = "/apps/{app}/runs/{number}"
        routes: list[tuple[str, str, Answer]] = [
            ("GET", "/status", self.status),
            ("GET", "/ps", self.ps),
            ("GET", "/nodes/uses", self.node_uses),
            ("POST", "/nodes/changed", self.nodes_changed),
            ("GET", "/apps", self.apps),
            ("POST", "/apps", self.create),
            ("DELETE", "/apps/{app}", self.destroy),
            ("GET", "/apps/{app}/config", self.config),
            ("PATCH", "/apps/{app}/config", self.configure),
            ("GET", "/apps/{app}/releases", self.releases),
            ("GET", "/apps/{app}/render", self.render),
            ("GET", "/apps/{app}/runs", self.runs),
            ("POST", "/apps/{app}/runs", self.start),
            ("GET", run, self.run),
            ("GET", run + "/log", self.log),
            ("GET", run + "/wait", self.wait),
            ("GET", run + "/results", self.results),
            ("POST", run + "/cancel", self.cancel),
            ("POST", run + "/cleanup", self.cleanup),
        ]
        made = [Route(path, self._answering(call), methods=[verb]) for verb, path, call in routes]
        application = Starlette(routes=made, lifespan=lifespan, exception_handlers={404: _nowhere})
        application.router.redirect_slashes = False
        return application

    async def status(self, _request: Request) -> Any:
        unfinished = self._context.ledger.unfinished()
        goes_on = {(run.app, run.number) for run in unfinished}
        left = [run for run in self._context.cleanup.recorded() if run not in goes_on]
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "home": str(self._context.home.root),
            "engine": self._context.engine.name,
            **self._uses,
            "apps": len(self._context.ledger.apps()),
            "running": sum(run.state == "running" for run in unfinished),
            "left": [f"{app} run {number}" for app, number in left],
        }

    async def ps(self, _request: Request) -> Any:
        started = [run for run in self._context.ledger.unfinished() if run.state in ("starting", "running")]
        return await asyncio.gather(*(asyncio.to_thread(self._units, run) for run in started))

    def _units(self, run: Run) -> dict[str, Any]:
        states = self._context.engine.states(Handle(self._context.home.run(run.app, run.number)))
        return {
            "app": run.app,
            "run": run.number,
            "release": run.release,
            "state": run.state,
            "units": [asdict(state) for state in states],
            "accepted": run.accepted,
            "started": run.started,
            "since": run.started or run.accepted,
        }

    async def node_uses(self, _request: Request) -> Any:
        """What runs have of the nodes, where the engine has some."""
        uses = self._context.engine.uses()
        return [{"node": use.node, "slots": use.need.slots, "memory": use.need.memory} for use in uses]

    async def nodes_changed(self, _request: Request) -> Any:
        """A command has changed the book of nodes."""
        self._context.publisher.changed.set()
        await asyncio.to_thread(self._context.engine.miss_nodes)
        return {}

    async def apps(self, _request: Request) -> Any:
        return [self._app(app.name) for app in self._context.ledger.apps()]

    def _app(self, name: str) -> dict[str, Any]:
        releases, runs = self._context.ledger.releases(name), self._context.ledger.runs(name)
        return {
            "app": name,
            "remote": str(self._context.home.repository(name)),
            "release": releases[-1].number if releases else None,
            "state": runs[-1].state if runs else None,
        }

    async def create(self, request: Request) -> Any:
        return apps.create(self._context, (await _body(request)).get("name", ""))

    async def destroy(self, request: Request) -> Any:
        app = self._context.ledger.app(request.path_params["app"])
        return self._in_its_time(self._destroyed(app.name))

    async def _destroyed(self, name: str) -> Any:
        with self._dispatcher.closed(name):
            for run in self._context.ledger.runs(name):
                if not run.has_ended:
                    await self._stopped(run)
            for _, number in self._context.cleanup.recorded(name):
                await asyncio.to_thread(self._context.cleanup.run, name, number)
            await asyncio.to_thread(apps.destroy, self._context, name)
        return {}

    async def config(self, request: Request) -> Any:
        return self._context.ledger.app(request.path_params["app"]).config

    async def configure(self, request: Request) -> Any:
        changes = await _body(request)
        return apps.configure(self._context, request.path_params["app"], changes)

    async def releases(self, request: Request) -> Any:
        name = request.path_params["app"]
        runs = self._context.ledger.runs(name)
        return [_release(release, runs) for release in self._context.ledger.releases(name)]

    async def render(self, request: Request) -> Any:
        units = renderer(self._context, request.query_params.get("engine", self._context.engine.name))
        return self._in_its_time(asyncio.to_thread(self._rendered, units, request.path_params["app"]))

    def _rendered(self, units: Render, name: str) -> Any:
        """Takes long where the stack has to be made first."""
        return [asdict(unit) for unit in units(self._next_job(name))]

    def _next_job(self, name: str) -> Job:
        """What would be submitted if the app's last release were run now."""
        release = self._context.ledger.get_release(name, None)
        plan = from_json(release.plan)
        runs = self._context.ledger.runs(name)
        run = Run(name, runs[-1].number + 1 if runs else 1, release.commit_id, release.number)
        image = self._context.images.get(release.image)
        stack = self._context.builder.stack(plan, lambda _: None)
        return jobs.make(self._context.home, run, self._context.runnable(name, plan, image, stack))

    async def runs(self, request: Request) -> Any:
        return [record.as_json(run) for run in self._context.ledger.runs(request.path_params["app"])]

    async def start(self, request: Request) -> Any:
        body = await _body(request)
        release = self._context.ledger.get_release(request.path_params["app"], body.get("release"))
        options = body.get("options") or {}
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
        run = self._named(request)
        folder = self._context.home.run(run.app, run.number)
        until = request.query_params.get("follow", "0")

        async def lines() -> AsyncIterator[bytes]:
            if until != "0" and self._dispatcher.has(run):
                over = partial(self._is_over, run)
                async for frame in story.follow(self._context.changes, folder, over=over):
                    if frame.settled and until == "up":
                        break
                    if not (frame.end or frame.settled):
                        yield _line(frame.as_json())
            else:
                for frame in story.told(folder):
                    yield _line(frame.as_json())
            yield _line({"end": record.as_json(self._context.ledger.run(run.app, run.number))})

        return StreamingResponse(kept_alive(lines()), media_type="application/x-ndjson")

    async def wait(self, request: Request) -> Any:
        run = self._named(request)

        async def value() -> Any:
            return record.as_json(await self._ended(run))

        async def lines() -> AsyncIterator[bytes]:
            yield _line(await self._value_or_refusal(value()))

        return StreamingResponse(kept_alive(lines()), media_type="application/x-ndjson")

    async def cleanup(self, request: Request) -> Any:
        """Answers once nothing of the run is left but its record; waits for its end before."""
        return self._in_its_time(self._cleaned(self._named(request)))

    async def _cleaned(self, run: Run) -> Any:
        ended = await self._ended(run)
        await asyncio.to_thread(self._context.cleanup.run, run.app, run.number)
        return record.as_json(ended)

    async def _ended(self, run: Run) -> Run:
        """The run once it has ended; its story ends after its record says so."""
        await self._over(run)
        ended = self._context.ledger.run(run.app, run.number)
        if not ended.has_ended:
            raise ReceiverError(
                f"run {run.number} of {run.app} is over, and that could not be recorded",
                f"is the disk full? see: df {self._context.home.root}; with room it is recorded by itself",
            )
        return ended

    def _is_over(self, run: Run) -> bool:
        """Nobody carries it out any more."""
        return not self._dispatcher.has(run)

    async def _over(self, run: Run) -> None:
        folder, over = self._context.home.run(run.app, run.number), partial(self._is_over, run)
        if not over():
            async for _ in story.follow(self._context.changes, folder, over=over):
                pass

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
        return self._in_its_time(self._cancelled(self._named(request)))

    async def _cancelled(self, run: Run) -> Any:
        await self._stopped(run)
        return record.as_json(await self._ended(run))

    async def _stopped(self, run: Run) -> None:
        await asyncio.to_thread(self._dispatcher.cancel, run)
        await self._over(run)

    def _in_its_time(self, work: Awaitable[Any]) -> Response:
        """What may take longer to come than a client waits for a sign of life; a refusal comes like a value.

        The work is done also when nobody waits for it any more.
        """
        begun = asyncio.create_task(self._value_or_refusal(work))
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)

        async def lines() -> AsyncIterator[bytes]:
            yield _line(await asyncio.shield(begun))

        return StreamingResponse(kept_alive(lines()), media_type="application/json")

    async def _value_or_refusal(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except Exception as error:
            if told := foreseen(error, self._context.home.root):
                return _refusal(told)
            traceback.print_exception(error)
            hint = f"the whole of it is in {self._context.home.log}"
            return _refusal(ReceiverError("nap itself failed", hint))

    def _answering(self, call: Answer) -> Callable[[Request], Awaitable[Response]]:
        """A value becomes JSON, a refusal a status with its sentence and hint."""

        async def answer(request: Request) -> Response:
            try:
                value = await call(request)
            except Exception as error:
                if told := foreseen(error, self._context.home.root):
                    return _AsciiJSON(_refusal(told), status_code=400)
                raise
            return value if isinstance(value, Response) else _AsciiJSON(value)

        return answer

    def _named(self, request: Request) -> Run:
        number = request.path_params["number"]
        if number != "latest" and not re.fullmatch(_NUMBER, number):
            raise ReceiverError(f"{number!r} is not the number of a run", "see: nap runs APP")
        chosen = None if number == "latest" else int(number)
        return self._context.ledger.run(request.path_params["app"], chosen)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that came with a request; ReceiverError when it is none."""
    try:
        value = await request.json()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ReceiverError("the request's body is not a JSON object", "is the command of another version?")
    return value


def _refusal(error: Any) -> dict[str, str]:
    """No value has a key `error`."""
    return {"error": error.message, "hint": getattr(error, "hint", "")}


async def _nowhere(request: Request, _error: Exception) -> Response:
    sentence = f"there is no {request.url.path}"
    return _AsciiJSON({"error": sentence, "hint": "names of apps: see: nap apps"}, status_code=404)


class _AsciiJSON(JSONResponse):
    """A program may name a file with bytes that are no text; `\\u` carries them over and back."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _release(release: Release, runs: list[Run]) -> dict[str, Any]:
    return {
        "number": release.number,
        "commit": release.commit_id,
        "image": release.image,
        "created": release.created,
        "stack": from_json(release.plan).stack,
        "runs": [run.number for run in runs if run.release == release.number],
    }
