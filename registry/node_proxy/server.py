"""The proxy's server for nodes, over TLS: checks their requests, and writes the permitted ones to etcd."""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from registry.certificates import Certificates
from registry.errors import RegistryError
from registry.etcd.endpoint import Endpoint, StoreSettings
from registry.etcd.open import open_store
from registry.etcd.store import Store
from registry.node_proxy import requests as node_requests
from registry.node_proxy.requests import LONGEST_BODY, Refused, Request

# The timeout of a silent connection in seconds, and the limit of concurrent connections.
PATIENCE = 10.0
CONNECTIONS = 400
_WRITTEN, _NOT_ALLOWED, _ANOTHERS, _AWAY = 200, 403, 412, 503


class NodeServer(ThreadingHTTPServer):
    """A server with a thread for each connection. Every client needs a certificate of the home's CA."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], files: Certificates, secret: str, folder: str, settings: Path
    ) -> None:
        self.secret = secret
        self.folder = folder
        self.store = _Etcd(settings)
        self._context = _context(files)
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """Accept a connection without the TLS handshake.

        The connection's own thread does that: here a silent client would block all others.
        """
        connection, client = self.socket.accept()
        connection.settimeout(PATIENCE)
        wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, client

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.close_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def shutdown_request(self, request: Any) -> None:
        """Read what the client is still sending, then close.

        Closing a socket with unread data resets the connection, and the client could lose the reply. Their
        content is of no interest, so the bytes are read without TLS.
        """
        with suppress(OSError, ValueError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(1)
            for _ in range(2):
                if not socket.socket.recv(request, LONGEST_BODY):
                    break
        self.close_request(request)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log the error, but no OSError: clients without a certificate, and lost connections."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"A request from {client_address[0]} failed: {error!r}", file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    server: NodeServer
    timeout = PATIENCE
    server_version, sys_version = "nap", ""

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def do_PUT(self) -> None:
        self._reply()

    def do_DELETE(self) -> None:
        self._reply()

    def _reply(self) -> None:
        code, message = self._carried_out()
        text = json.dumps({"message": message}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _carried_out(self) -> tuple[int, str]:
        ours = self.server
        authorization = self.headers.get("Authorization", "")
        try:
            body = self._body()
            request = node_requests.read(
                self.command, self.path, authorization, body, ours.secret, ours.folder
            )
            return ours.store.carry_out(request)
        except Refused as refusal:
            return _NOT_ALLOWED, str(refusal)
        except RegistryError as error:
            return _AWAY, error.message

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > LONGEST_BODY:
            raise Refused("not a request of an announcer")
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a line for each request would fill the disk."""


class _Etcd:
    """The etcd of the current settings, which are read for each request: it can move while this runs."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings
        self._opened: tuple[Endpoint, Store] | None = None

    def carry_out(self, request: Request) -> tuple[int, str]:
        """Write to etcd; return an HTTP code and a sentence. Raise RegistryError if etcd is down."""
        store = self._store()
        if request.verb == "remove":
            store.remove(request.key, request.value)
        elif request.verb == "refresh":
            store.refresh(request.key, request.value, request.ttl)
        elif self._is_outdated(store, request):
            return _ANOTHERS, "a later run stands there"
        else:
            store.put(request.key, request.value, request.ttl)
        return _WRITTEN, "done"

    def _is_outdated(self, store: Store, request: Request) -> bool:
        """Return whether a later run has this key: signatures never expire, so an earlier run's is valid."""
        there = store.list(request.folder).entries.get(request.key, "")
        return node_requests.run_of(there) > node_requests.run_of(request.value)

    def _store(self) -> Store:
        endpoint = StoreSettings.load(self._settings).endpoint
        opened = self._opened
        if opened is None or opened[0] != endpoint:
            opened = self._opened = (endpoint, open_store(endpoint))
        return opened[1]


def _context(files: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.ca)
    context.load_cert_chain(files.cert("images"), files.key("images"))
    return context
