"""The receiver daemon: `python -m receiver.daemon HOME`. Owns the ledger, the queue and the runs' threads.

It may be killed at any time: runs go on without it, and the next one takes them up. Whoever starts it
hands it the home's lock, so that there is one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from receiver import apps
from receiver import settings as home_settings
from receiver.api import Api
from receiver.dispatcher import Dispatcher
from receiver.hooks import Hooks
from receiver.ledger import Ledger
from receiver.parts import Parts
from receiver.paths import Home
from receiver.prepare import Preparer
from receiver.publisher import Publisher
from registry.endpoint import Settings as EtcdSettings
from registry.images import Images
from registry.opening import open_store
from registry.processes import tell_starter
from units.launching import Machine
from units.local.engine import LocalEngine
from units.local.files import remove


def main(root: Path) -> None:
    os.chdir(root)
    os.umask(0o077)
    home = Home(root)
    remove(home.scratch)
    etcd = EtcdSettings.load(home.etcd_settings)
    parts = _parts(home, etcd)
    dispatcher = Dispatcher(parts)
    api = Api(parts, dispatcher, {"url": etcd.endpoint.url, "api": etcd.endpoint.api})
    application = api.application(lambda _: _at_work(home, parts, dispatcher))
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=1
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[_listen(home.api_socket.name)])


def _parts(home: Home, etcd: EtcdSettings) -> Parts:
    settings = home_settings.load(home.settings)
    images = Images(home.images)
    store = open_store(etcd.endpoint)
    return Parts(
        home=home,
        settings=settings,
        ledger=Ledger(home.ledger),
        engine=LocalEngine(home.root, Machine.here()),
        store=store,
        keys=etcd.keys,
        images=images,
        preparer=Preparer(home, settings, images),
        publisher=Publisher(store, etcd.keys),
    )


@asynccontextmanager
async def _at_work(home: Home, parts: Parts, dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Between start and SIGTERM, which ends the daemon and nothing else."""
    await asyncio.to_thread(apps.mend, parts)
    await asyncio.to_thread(dispatcher.recover)
    hooks = Hooks(parts, dispatcher)
    server = await hooks.serve(Path(home.hook_socket.name))
    tell_starter()
    yield
    server.close()
    hooks.give_up()
    parts.publisher.close()


def _listen(path: str) -> socket.socket:
    """A name relative to the home is clear of the 108 bytes that a socket's path may have."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main(Path(sys.argv[1]))
