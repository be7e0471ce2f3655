"""What takes long keeps neither the receiver from its other work nor who asked for it in the dark."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from buildpacks.plan import Plan, Process, to_json
from receiver.daemon import apps_api, responses, runs_api
from receiver.daemon.apps_api import AppsApi
from receiver.daemon.receiver_api import ReceiverApi
from receiver.daemon.responses import Responses
from receiver.daemon.runs_api import RunsApi
from receiver.daemon.streaming import kept_alive
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger
from receiver.runs.changes import StoryChanges
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.dispatcher import Dispatcher
from receiver.runs.story import Story
from units.engine import Engine
from units.errors import UnitError

PATIENCE = 20
PLAN = Plan(built_by="", run_by="profile", stack="plain", processes=(Process("app", "true"),))


Api = SimpleNamespace


class Slow:
    """Stands for the work that is to be done: it ends when `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.fails: Exception | None = None

    def __call__(self, *_: object) -> None:
        assert self.go.wait(PATIENCE), "the receiver did nothing else meanwhile"
        if self.fails:
            raise self.fails


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def context(tmp_path: Path, slow: Slow) -> Any:
    home = Home(tmp_path)
    ledger = Ledger(home.ledger)
    ledger.add_app("hello")
    release = ledger.release("hello", "c1", "sha256:1", to_json(PLAN))
    ledger.update(ledger.accept("hello", "c1", {}, release.number), state="succeeded", exit_code=0)
    return SimpleNamespace(
        home=home,
        ledger=ledger,
        engine=SimpleNamespace(name="local", units=lambda _: ()),
        cleanup=PendingCleanup(home, cast(Engine, SimpleNamespace())),
        images=SimpleNamespace(get=lambda _: None),
        builder=SimpleNamespace(stack=slow, environment=lambda *_: ()),
        changes=StoryChanges(),
        runnable=lambda *_: None,
    )


@pytest.fixture
def api(context: Any, monkeypatch: pytest.MonkeyPatch, slow: Slow) -> Api:
    monkeypatch.setattr(apps_api.jobs, "make", lambda *_: None)
    monkeypatch.setattr(apps_api.apps, "destroy", slow)
    for module in (responses, runs_api):
        monkeypatch.setattr(module, "kept_alive", partial(kept_alive, seconds=0.001))
    dispatcher = Dispatcher(context)
    monkeypatch.setattr(dispatcher, "cancel", slow)
    answers = Responses(context.home.root, context.home.log)
    return SimpleNamespace(
        render=AppsApi(context, dispatcher, answers).render,
        destroy=AppsApi(context, dispatcher, answers).destroy,
        cancel=RunsApi(context, dispatcher, answers).cancel,
        wait=RunsApi(context, dispatcher, answers).wait,
        status=ReceiverApi(context, {}).status,
    )


def request(**params: str) -> Request:
    return cast(Request, SimpleNamespace(path_params={"app": "hello", **params}, query_params={}))


def asked(api: Api, slow: Slow, verb: str) -> Any:
    """The value that comes once the work goes on, which it does when a sign of life was seen."""

    async def ask() -> Any:
        answer = await getattr(api, verb)(request(number="1"))
        chunks: AsyncIterator[bytes] = answer.body_iterator
        assert await anext(chunks) == b"\n"
        slow.go.set()
        return json.loads(b"".join([chunk async for chunk in chunks]))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("verb", "holds"),
    [
        ("render", lambda value: value == []),
        ("destroy", lambda value: value == {}),
        ("cancel", lambda value: (value["number"], value["state"]) == (1, "succeeded")),
    ],
)
def test_a_value_that_takes_its_time_comes_after_signs_of_life(
    api: Api, slow: Slow, verb: str, holds: Callable[[Any], bool]
) -> None:
    assert holds(asked(api, slow, verb))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnitError("it cannot be stopped", "nap doctor"), ("it cannot be stopped", "nap doctor")),
        (KeyError("so it is"), ("nap itself failed", "the whole of it is in ")),
    ],
)
def test_a_refusal_that_takes_its_time_is_told_like_any_other(
    api: Api, slow: Slow, error: Exception, told: tuple[str, str]
) -> None:
    slow.fails = error
    value = asked(api, slow, "cancel")
    assert value["error"] == told[0]
    assert value["hint"].startswith(told[1])


def test_the_status_names_what_is_left_of_runs_that_have_ended(api: Api, context: Any) -> None:
    goes_on = context.ledger.accept("hello", "c1", {})
    for number in (1, goes_on.number):
        context.cleanup.record("hello", number)
    assert asyncio.run(api.status(request()))["left"] == ["hello run 1"]


def test_who_waits_for_a_run_that_nobody_carries_out_is_told_so(api: Api, context: Any) -> None:
    run = context.ledger.accept("hello", "c1", {})
    Story(context.home.run("hello", run.number)).say("begun")

    async def ask() -> Any:
        answer = await api.wait(request(number="2"))
        chunks = cast(AsyncGenerator[bytes, None], answer.body_iterator)
        return json.loads(b"".join([chunk async for chunk in chunks]))

    told = asyncio.run(ask())
    assert told["error"] == "run 2 of hello is over, and that could not be recorded"
    assert "is the disk full?" in told["hint"]


def test_an_app_is_destroyed_to_the_end_though_nobody_waits_for_it(
    api: Api, slow: Slow, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroyed = threading.Event()
    monkeypatch.setattr(apps_api.apps, "destroy", lambda *_: destroyed.set())
    run = context.ledger.accept("hello", "c1", {})
    Story(context.home.run("hello", run.number)).end()

    async def leave() -> bool:
        answer = await api.destroy(request())
        chunks = cast(AsyncGenerator[bytes, None], answer.body_iterator)
        assert await anext(chunks) == b"\n"
        await chunks.aclose()
        slow.go.set()
        return await asyncio.to_thread(destroyed.wait, PATIENCE)

    assert asyncio.run(leave())
