"""Client of the receiver daemon: JSON over HTTP on the Unix socket in nap's home."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from receiver.errors import ReceiverError
from receiver.home.paths import Home

_SUN_PATH_BYTES = 108  # of sockaddr_un.sun_path on Linux, the closing zero byte included


def nap_home() -> Path:
    """Return nap's home as an absolute path: `$NAP_HOME`, else `~/.nap`. ReceiverError when neither works."""
    try:
        return Path(os.environ.get("NAP_HOME") or "~/.nap").expanduser().absolute()
    except (OSError, RuntimeError) as error:
        # A user without an entry in /etc/passwd has no ~. A removed working directory has no absolute path.
        raise ReceiverError(
            f"nap's home cannot be told: {getattr(error, 'strerror', '') or error}",
            "set NAP_HOME to a folder of your own, by its whole path",
        ) from error


def resource(*parts: object) -> str:
    """Return the path of a resource: `resource("apps", "hello", "runs", 3)` is `/apps/hello/runs/3`."""
    return "".join(f"/{quote(str(part), safe='', errors='surrogateescape')}" for part in parts)


class Client:
    """Client of one home's receiver. Methods return the API's JSON values, and raise its refusals as
    ReceiverError. `answer_seconds` is the longest silence of the receiver.
    """

    def __init__(self, home: Path, answer_seconds: float = 60.0) -> None:
        self.home = home
        self.answer_seconds = answer_seconds

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def frames(self, path: str) -> Iterator[Any]:
        """Yield the JSON value of each line of a streamed answer, as it arrives.

        Blank lines are heartbeats: a run can take any time, but a receiver that sends nothing for
        `answer_seconds` counts as dead.
        """
        with self._answer("GET", path, None, self.answer_seconds) as response:
            for line in response:
                if line.strip():
                    yield _value(json.loads(line))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        # Blank lines before the value are heartbeats, as in `frames`. JSON ignores them.
        with self._answer(method, path, body, self.answer_seconds) as response:
            value = json.loads(response.read())
        return _value(value)

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Any, timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(Home(self.home).api_socket, timeout)
        try:
            connection.request(method, path, **_content(body))
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response, f"{method} {path}")
            yield response
        except TimeoutError as error:
            raise ReceiverError(
                f"the receiver gave no answer to {method} {path} in {timeout:.0f} s",
                f"see {Home(self.home).log}, or start it anew: nap down; nap up",
            ) from error
        except (ConnectionError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise ReceiverError(
                f"the receiver went away while it answered {method} {path}",
                "nap up (what runs, runs on)",
            ) from error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            _connect(self.sock, self.path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise ReceiverError(f"nap is not running (no receiver at {self.path})", "nap up") from error
        except PermissionError as error:
            raise ReceiverError(
                f"the receiver at {self.path} is not yours to talk to",
                "set NAP_HOME to a folder of your own, then: nap up",
            ) from error


def _connect(sock: socket.socket, path: Path) -> None:
    """Connect to a socket whose path can be longer than `sun_path`: then through /proc/self/fd."""
    if len(os.fsencode(path)) < _SUN_PATH_BYTES:
        return sock.connect(str(path))
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sock.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _content(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    return {"body": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def _value(answer: Any) -> Any:
    """Return the value; raise a refusal. A streamed answer can refuse after its status 200 was sent."""
    if isinstance(answer, dict) and "error" in answer:
        raise _told(answer)
    return answer


def _told(refusal: Mapping[str, str]) -> ReceiverError:
    return ReceiverError(refusal["error"], refusal.get("hint", ""))


def _refusal(response: http.client.HTTPResponse, request: str) -> ReceiverError:
    try:
        return _told(json.loads(response.read()))
    except (ValueError, KeyError, TypeError):
        return ReceiverError(
            f"the receiver answered {request} with status {response.status}",
            "is it of another version? nap up",
        )
