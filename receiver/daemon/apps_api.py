"""The API of apps: create, configure, list, render and destroy."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from buildpacks.plan import from_json
from receiver.daemon.responses import Answer, Responses, body
from receiver.daemon.run_end import RunEnd
from receiver.engines.export import Render, renderer
from receiver.ledger.ledger import Release, Run
from receiver.runs import apps, jobs
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher
from units.job import Job


class AppsApi:
    """One method per route; each returns a JSON value, or a complete response."""

    def __init__(self, context: Context, dispatcher: Dispatcher, responses: Responses) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._responses = responses
        self._end = RunEnd(context, dispatcher)

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/apps", self.apps),
            ("POST", "/apps", self.create),
            ("DELETE", "/apps/{app}", self.destroy),
            ("GET", "/apps/{app}/config", self.config),
            ("PATCH", "/apps/{app}/config", self.configure),
            ("GET", "/apps/{app}/releases", self.releases),
            ("GET", "/apps/{app}/render", self.render),
        ]

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
        return apps.create(self._context, (await body(request)).get("name", ""))

    async def destroy(self, request: Request) -> Any:
        app = self._context.ledger.app(request.path_params["app"])
        return self._responses.in_its_time(self._destroyed(app.name))

    async def _destroyed(self, name: str) -> Any:
        with self._dispatcher.closed(name):
            for run in self._context.ledger.runs(name):
                if not run.has_ended:
                    await self._end.stopped(run)
            for _, number in self._context.cleanup.recorded(name):
                await asyncio.to_thread(self._context.cleanup.run, name, number)
            await asyncio.to_thread(apps.destroy, self._context, name)
        return {}

    async def config(self, request: Request) -> Any:
        return self._context.ledger.app(request.path_params["app"]).config

    async def configure(self, request: Request) -> Any:
        changes = await body(request)
        return apps.configure(self._context, request.path_params["app"], changes)

    async def releases(self, request: Request) -> Any:
        name = request.path_params["app"]
        runs = self._context.ledger.runs(name)
        return [_release(release, runs) for release in self._context.ledger.releases(name)]

    async def render(self, request: Request) -> Any:
        units = renderer(self._context, request.query_params.get("engine", self._context.engine.name))
        return self._responses.in_its_time(
            asyncio.to_thread(self._rendered, units, request.path_params["app"])
        )

    def _rendered(self, units: Render, name: str) -> Any:
        """Return the units as JSON. This takes long when the stack has to be built first."""
        return [asdict(unit) for unit in units(self._next_job(name))]

    def _next_job(self, name: str) -> Job:
        """Return the job that would be submitted if the app's last release were run now."""
        release = self._context.ledger.get_release(name, None)
        plan = from_json(release.plan)
        runs = self._context.ledger.runs(name)
        run = Run(name, runs[-1].number + 1 if runs else 1, release.commit_id, release.number)
        image = self._context.images.get(release.image)
        stack = self._context.builder.stack(plan, lambda _: None)
        return jobs.make(self._context.home, run, self._context.runnable(name, plan, image, stack))


def _release(release: Release, runs: list[Run]) -> dict[str, Any]:
    return {
        "number": release.number,
        "commit": release.commit_id,
        "image": release.image,
        "created": release.created,
        "stack": from_json(release.plan).stack,
        "runs": [run.number for run in runs if run.release == release.number],
    }
