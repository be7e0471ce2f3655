"""The API of the receiver as a whole, and of its nodes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from receiver.daemon.responses import Answer
from receiver.ledger.ledger import Run
from receiver.runs.context import Context
from receiver.version import VERSION
from units.job import Handle


class ReceiverApi:
    """`uses` is the status of etcd and of the other parts that the receiver needs."""

    def __init__(self, context: Context, uses: Mapping[str, Any]) -> None:
        self._context = context
        self._uses = uses

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/status", self.status),
            ("GET", "/ps", self.ps),
            ("GET", "/nodes/uses", self.node_uses),
            ("POST", "/nodes/changed", self.nodes_changed),
        ]

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
        """Return the slots and the memory that runs use on nodes; empty for an engine without nodes."""
        uses = self._context.engine.uses()
        return [{"node": use.node, "slots": use.need.slots, "memory": use.need.memory} for use in uses]

    async def nodes_changed(self, _request: Request) -> Any:
        """React to a change of the book of nodes by a command."""
        self._context.publisher.changed.set()
        await asyncio.to_thread(self._context.engine.miss_nodes)
        return {}
