"""What nap says to an etcd, passwords too, goes nowhere else, whatever answers there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from registry import Endpoint, RegistryError, Secret, Store, open_store
from registry.etcd import program as etcd_program
from registry.etcd.endpoint import Api


class Elsewhere(ThreadingHTTPServer):
    """Answers each request by sending whoever asks to another server, which notes who comes."""

    daemon_threads = True

    def __init__(self, location: str = "") -> None:
        self.location, self.asked = location, list[str]()
        super().__init__(("127.0.0.1", 0), _Redirecting)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Redirecting(BaseHTTPRequestHandler):
    server: Elsewhere

    def _reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)
        self.send_response(307 if self.server.location else 200)
        self.send_header("Location", self.server.location + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_DELETE = _reply

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def servers() -> Iterator[tuple[Elsewhere, Elsewhere]]:
    other = Elsewhere()
    with other, Elsewhere(other.url) as etcd:
        yield etcd, other
        etcd.shutdown()
        other.shutdown()


@pytest.mark.parametrize("api", ["v2", "v3"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.ping(),
        lambda store: store.list("/services"),
        lambda store: store.put("/services/a", "1", 60),
        lambda store: store.refresh("/services/a", "1", 60),
        lambda store: store.remove("/services/a", "1"),
    ],
)
def test_a_redirection_is_not_followed(
    ask: Callable[[Store], None], api: Api, servers: tuple[Elsewhere, Elsewhere]
) -> None:
    etcd, other = servers
    with pytest.raises(RegistryError):
        ask(open_store(Endpoint(etcd.url, api, user="root", password=Secret("secret"))))
    assert etcd.asked
    assert other.asked == []


def test_nor_is_it_where_a_version_is_asked_for(servers: tuple[Elsewhere, Elsewhere]) -> None:
    etcd, other = servers
    assert etcd_program.version_at(Endpoint(etcd.url)) is None
    assert (len(etcd.asked), other.asked) == (1, [])
