"""The daemon's API for the `nap` command: JSON over HTTP on a Unix socket that only its user can open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from receiver.daemon.apps_api import AppsApi
from receiver.daemon.receiver_api import ReceiverApi
from receiver.daemon.responses import Responses, nowhere
from receiver.daemon.runs_api import RunsApi
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def application(
    context: Context, dispatcher: Dispatcher, uses: Mapping[str, Any], lifespan: Lifespan
) -> Starlette:
    """Return the whole API. `uses` is the status of etcd and of the other parts that the receiver needs."""
    responses = Responses(context.home.root, context.home.log)
    groups = (
        ReceiverApi(context, uses),
        AppsApi(context, dispatcher, responses),
        RunsApi(context, dispatcher, responses),
    )
    routes = [
        Route(path, responses.answering(call), methods=[verb])
        for group in groups
        for verb, path, call in group.routes()
    ]
    made = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: nowhere})
    made.router.redirect_slashes = False
    return made
