"""Fleet's documented HTTP API over a cluster of the tests, over TCP or a Unix socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.fleet.cluster import Cluster, error

_PREFIX = "/fleet/v1"
# Seconds between two steps that a cluster takes by itself, and between two looks at its machines.
_STEP, _LOOK = 0.1, 1.0


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    alone: threading.Lock

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        with self.alone:
            if self.command == "PUT" and self.cluster.puts is not None:
                self.cluster.puts -= 1
                self.cluster.silent |= self.cluster.puts < 0
            if not self.cluster.silent:
                self._say()

    def _say(self) -> None:
        parts = urlsplit(self.path)
        resource, _, name = unquote(parts.path.removeprefix(_PREFIX)).strip("/").partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.cluster.etcd_away:
            self.cluster.refusals += 1
            code, value = error(500, "")
        elif not name:
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            code, value = self.cluster.page(resource, query)
        elif self.command == "PUT" and self.headers.get("Content-Type") != "application/json":
            code, value = error(415, "only application/json is taken")
        elif self.command == "PUT":
            code, value = self.cluster.put(name, json.loads(body))
        else:
            code, value = (self.cluster.get if self.command == "GET" else self.cluster.delete)(name)
        said = b"" if value is None else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT = do_DELETE = _answer


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))


@contextmanager
def serving(cluster: Cluster, path: Path | None = None) -> Iterator[str]:
    """The URL that the cluster answers at: a Unix socket's where it has a `path`."""
    lock, over = threading.Lock(), threading.Event()
    handler = type("Handler", (_Handler,), {"cluster": cluster, "alone": lock})
    server = _UnixServer(str(path), handler) if path else ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    works = threading.Thread(target=_work, args=(cluster, lock, over))
    thread.start()
    works.start()
    try:
        yield f"unix://{path}" if path else f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        works.join()
        thread.join()
        server.server_close()


def _work(cluster: Cluster, lock: threading.Lock, over: threading.Event) -> None:
    """What a cluster does though nobody asks."""
    looked = 0.0
    while not over.wait(_STEP):
        with lock:
            cluster.step()
            if time.monotonic() - looked > _LOOK:
                looked = time.monotonic()
                cluster.look()
