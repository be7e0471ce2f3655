"""A receiver for tests: it answers what a test tells it to, over a real Unix socket."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread
from typing import Any

RUN: dict[str, Any] = {
    "number": 3,
    "release": 2,
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "state": "succeeded",
    "exit_code": 0,
    "seconds": {"check": 0.25, "run": 1.25},
    "slaves": 4,
    "np": 8,
    "service": False,
    "options": {"np": "8"},
    "created": "2026-01-02T03:04:05+00:00",
    "who": "ada (key laptop)",
    "subject": "Sum the forces in double precision, all of them",
    "reason": None,
}


class Stream:
    """An answer in chunks; `then` runs after the last one, and `cut` leaves the stream unended."""

    def __init__(self, *chunks: bytes, then: Callable[[], object] = lambda: None, cut: bool = False) -> None:
        self.chunks = chunks
        self.then = then
        self.cut = cut


class Refusal:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class FakeReceiver:
    """`answers` maps "GET /apps" to a JSON value, a Stream or a Refusal; `asked` is what came."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []


def frame(**value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


@contextmanager
def serving(home: Path) -> Iterator[FakeReceiver]:
    """Serve on `home/nap.sock` until the block ends."""
    fake = FakeReceiver(home)
    home.mkdir(parents=True, exist_ok=True)
    folder = os.open(home, os.O_PATH)  # a path of any length fits through it
    handler = type("Handler", (_Handler,), {"fake": fake})
    try:
        with ThreadingUnixStreamServer(f"/proc/self/fd/{folder}/nap.sock", handler) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield fake
            server.shutdown()
            thread.join()
    finally:
        os.close(folder)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeReceiver

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = f"{self.command} {self.path}"
        self.fake.asked.append((request, json.loads(self.rfile.read(length) or b"null")))
        missing = Refusal(404, b'{"error": "not in the fake", "hint": ""}')
        value = self.fake.answers.get(request, missing)
        if isinstance(value, Stream):
            with suppress(BrokenPipeError):  # a client may leave once it has what it waited for
                self._stream(value)
        elif isinstance(value, Refusal):
            self._send(value.status, value.body)
        else:
            self._send(200, json.dumps(value).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, stream: Stream) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in stream.chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        stream.then()
        if not stream.cut:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""
