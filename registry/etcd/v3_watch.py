"""A watch over etcd's v3 API."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests

from registry.errors import RegistryError, root_cause
from registry.etcd.store import Watch


class Watch3(Watch):
    """Watches by one stream for all waits, which a thread of its own reads.

    The stream starts at the current revision: for a past one, etcd answers up to 100 ms later. The first
    answer has the revision of the start, which shows whether there were changes since the list.
    """

    def __init__(
        self,
        open_stream: Callable[[dict[str, Any]], requests.Response],
        folder: dict[str, Any],
        url: str,
    ) -> None:
        self._open_stream = open_stream
        self._folder = folder
        self._url = url
        self._changed = threading.Condition()
        self._revision = 0
        self._reader: threading.Thread | None = None
        self._stream: requests.Response | None = None
        self._error = ""
        self._closed = False

    def wait(self, index: int, timeout: float) -> None:
        with self._changed:
            if self._reader is None:
                self._revision = 0
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()
            self._changed.wait_for(
                lambda: self._revision > index or self._reader is None, max(0.0, timeout)
            )
            error, self._error = self._error, ""
        if error:
            raise RegistryError(
                f"etcd at {self._url} cannot be watched: {error}.", "Run: nap up", retry=True
            )

    def close(self) -> None:
        with self._changed:
            self._closed = True
            if self._stream is not None:
                _hang_up(self._stream)

    def _read(self) -> None:
        """Follow the stream until `close`, or until etcd ends it."""
        try:
            with self._open_stream(self._folder) as stream:
                self._follow(stream)
            self._end("the stream ended")
        except (RegistryError, requests.RequestException, ValueError, KeyError, OSError) as error:
            self._end(root_cause(error))

    def _follow(self, stream: requests.Response) -> None:
        with self._changed:
            self._stream = stream
            if self._closed:  # closed while the stream was being opened: there was nothing to shut down yet
                return
        for line in stream.iter_lines():
            result = json.loads(line)["result"]
            with self._changed:
                self._revision = max(self._revision, int(result["header"]["revision"]))
                self._changed.notify_all()

    def _end(self, error: str) -> None:
        with self._changed:
            self._reader = self._stream = None
            self._error = error
            self._changed.notify_all()


def _hang_up(stream: requests.Response) -> None:
    """End a read that another thread is blocked in. Closing the response would wait for that read."""
    with (
        suppress(OSError, ValueError),
        socket.socket(fileno=socket.dup(stream.raw.fileno())) as connection,
    ):
        connection.shutdown(socket.SHUT_RDWR)
