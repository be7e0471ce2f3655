"""The receiver daemon, with its home as argument. Owns the ledger, the queue and the runs' threads.

It can be killed at any time: runs continue without it, and the next daemon takes them up. Its starter hands
it the home's lock, so that there is only one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from receiver import engine_choice
from receiver.daemon import log
from receiver.daemon.api import application
from receiver.home import settings as home_settings
from receiver.home.paths import Home
from receiver.ledger.ledger import Ledger
from receiver.ledger.publisher import Publisher
from receiver.nodes.book import NodeBook
from receiver.nodes.news import NodeNews
from receiver.nodes.states import CONNECT_WITHIN
from receiver.push.server import Hooks
from receiver.runs import apps
from receiver.runs.cleanup import PendingCleanup
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher
from receiver.runs.prepare import Preparer
from registry.etcd.endpoint import StoreSettings
from registry.etcd.open import open_store
from registry.processes import tell_starter
from units.nodes.link import Links


def main() -> None:
    root = Path(sys.argv[1])
    os.chdir(root)
    os.umask(0o077)
    log.take_over()
    home = Home(root)
    etcd = StoreSettings.load(home.etcd_settings)
    context = _context(home, etcd)
    context.builder.sweep()
    dispatcher = Dispatcher(context)
    made = application(
        context, dispatcher, _uses(context, etcd), lambda _: _at_work(home, context, dispatcher)
    )
    config = uvicorn.Config(
        made, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=1
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[_listen(home.api_socket.name)])


def _context(home: Home, etcd: StoreSettings) -> Context:
    settings = home_settings.load(home.settings)
    support = engine_choice.of(home)
    builder = support.builder(home, settings)
    store = open_store(etcd.endpoint)
    engine = support.open(home, settings)
    return Context(
        home=home,
        settings=settings,
        ledger=Ledger(home.ledger),
        engine=engine,
        store=store,
        keys=etcd.keys,
        images=builder.images,
        builder=builder,
        preparer=Preparer(home, settings, builder, engine),
        publisher=Publisher(store, etcd.keys),
        cleanup=PendingCleanup(home, engine),
    )


def _uses(context: Context, etcd: StoreSettings) -> dict[str, Any]:
    """Return the entries of `nap status` for etcd and the engine's parts."""
    support = engine_choice.support(context.engine.name)
    known = {"url": etcd.endpoint.url, "api": etcd.endpoint.api}
    return {"etcd": known, **support.status(context.home, context.settings)}


@asynccontextmanager
async def _at_work(home: Home, context: Context, dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Take up runs and serve the hooks until SIGTERM, which ends the daemon but no runs."""
    await asyncio.to_thread(apps.mend, context)
    await asyncio.to_thread(dispatcher.recover)
    hooks = Hooks(context, dispatcher)
    server = await hooks.serve(Path(home.hook_socket.name))
    with _news_of_nodes(context):
        tell_starter()
        yield
    server.close()
    hooks.give_up()
    context.publisher.close()


@contextmanager
def _news_of_nodes(context: Context) -> Iterator[None]:
    """Publish the states of the nodes in etcd inside the context, if the engine has nodes."""
    if not context.engine.on_nodes:
        yield
        return
    book = NodeBook(context.home.nodes)
    links = Links(book.identity, CONNECT_WITHIN)
    NodeNews(book, links, context.engine.uses, context.publisher, context.settings.nodes.away / 2).begin()
    yield
    links.close()


def _listen(path: str) -> socket.socket:
    """Return a listening socket. A path relative to the home avoids the limit of 108 bytes."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    return listener
