"""Connections to nodes: each is opened once and kept, and opened again after it was lost.

A node is asked as root. Every request has an end, also where nobody answers any more.
"""

from __future__ import annotations

import base64
import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from units.errors import UnitError
from units.nodes.node import Login, Node

if TYPE_CHECKING:
    from fabric import Connection
    from paramiko import Channel, SSHClient

AT_A_TIME = 30
CONNECT_WITHIN = 10
_KEEPALIVE = 5
_CHUNK = 65536
# paramiko's exit code where the other side did not tell one.
_CUT = -1
# That of timeout(1), which every request is run by.
_LATE = 124
# What a node's own `timeout` has more time for than the request, so that it is told which of them was late.
_MARGIN = 2.0
# Connections to one node: a sshd has some ten sessions in each.
_MOST = 30
# Of those that were late once.
_MOST_ASIDE = 3
T = TypeVar("T")
# What it says there it raises as well; without a handler it would say it on standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Done:
    """What became of a command: its exit code and what it wrote."""

    code: int
    out: bytes
    err: str

    @property
    def last(self) -> str:
        """Its last words."""
        lines = (self.err.strip() or self.out.decode(errors="replace").strip()).splitlines()
        if self.code == _LATE and not lines:
            return "it did not end in time"
        return lines[-1] if lines else f"exit {self.code}"


class Link:
    """One node's connection; any thread may use it, several at a time."""

    def __init__(self, login: Login, identity: Path | None, connect_within: int = CONNECT_WITHIN) -> None:
        self.login = login
        self._identity = identity
        self._connect_within = connect_within
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._aside: list[Connection] = []
        self._failed: tuple[float, UnitError] | None = None

    def run(self, argv: Sequence[str], given: bytes = b"", within: float = 30.0) -> Done:
        """Run a command as root, `given` on its standard input. UnitError when the node does not answer."""
        channel = self.open(["timeout", str(within), *argv], within)
        try:
            channel.sendall(given)
            channel.shutdown_write()
            out = b"".join(iter(lambda: channel.recv(_CHUNK), b""))
            err = b"".join(iter(lambda: channel.recv_stderr(_CHUNK), b""))
            code = exit_code(channel, within)
            if code == _CUT:
                raise UnitError(f"the connection to {self.login} was lost", "see: nap nodes")
            return Done(code, out, err.decode(errors="replace"))
        except (OSError, EOFError) as error:
            self.set_aside()
            raise self._silent(within) from error
        finally:
            channel.close()

    def ask(self, argv: Sequence[str], given: bytes = b"", within: float = 30.0) -> str:
        """What the command writes; UnitError with its last words when it fails."""
        done = self.run(argv, given, within)
        if done.code:
            raise UnitError(f"{argv[0]} failed on {self.login}: {done.last}")
        return done.out.decode(errors="replace")

    def open(self, argv: Sequence[str], within: float) -> Channel:
        """A channel on which the command runs as root; its reads end after `within` seconds."""
        from paramiko import SSHException

        words = argv if self.login.user == "root" else ("sudo", "-n", *argv)
        try:
            channel = self._session(within)
            channel.settimeout(within + _MARGIN)
            with _closed_after(channel, within + _MARGIN):
                channel.exec_command(shlex.join(words))
        except (OSError, EOFError, SSHException) as error:
            self.set_aside()
            raise self._silent(within) from error
        return channel

    def _silent(self, seconds: float) -> UnitError:
        return UnitError(f"{self.login} did not answer within {seconds:.0f} s", "see: nap nodes")

    def _session(self, within: float) -> Channel:
        from paramiko import ChannelException

        for number in range(_MOST):
            try:
                transport = self._client(number).get_transport()
                if transport is None:
                    raise EOFError  # another thread has closed it meanwhile
                session: Channel = transport.open_session(timeout=within)
                return session
            except ChannelException:
                continue
        raise UnitError(f"{self.login} takes no more sessions", "raise MaxSessions in its sshd_config")

    def _client(self, number: int) -> Any:
        """That of so many connections; who waited while another one could not connect has its error."""
        asked = time.monotonic()
        with self._lock:
            self._connections = [one for one in self._connections if one.is_connected]
            if number < len(self._connections):
                return self._connections[number].client
            if self._failed and self._failed[0] > asked:
                raise self._failed[1]
            try:
                self._connections.append(self._connected())
            except UnitError as error:
                self._failed = (time.monotonic(), error)
                raise
            return self._connections[-1].client

    def _connected(self) -> Connection:
        from paramiko import AuthenticationException, BadHostKeyException, SSHException

        connection = connection_to(self.login, self._identity, self._connect_within)
        pin(connection.client, self.login)
        try:
            connection.open()
        except BadHostKeyException as error:
            sentence = f"{self.login.host} shows another host key than the one it was added with"
            hint = "if it was installed anew: nap nodes remove, and add it again"
            raise UnitError(sentence, hint) from error
        except AuthenticationException as error:
            raise refused(self.login, self._identity) from error
        except (OSError, SSHException, EOFError) as error:
            raise unreached(self.login, error, "see: nap nodes") from error
        connection.transport.set_keepalive(_KEEPALIVE)
        return connection

    def set_aside(self) -> None:
        """Whoever uses it next opens it anew; what is under way, such as the fetch of an image, goes on."""
        with self._lock:
            late = [one for one in (*self._aside, *self._connections) if one.is_connected]
            self._connections, self._aside = [], late[-_MOST_ASIDE:]
        _close(late[:-_MOST_ASIDE])

    def close(self) -> None:
        """The same, and what is under way is told that the connection was lost."""
        with self._lock:
            connections = [*self._aside, *self._connections]
            self._connections, self._aside = [], []
        _close(connections)


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.client.close()


@contextmanager
def _closed_after(channel: Channel, seconds: float) -> Iterator[None]:
    """What is waited for inside ends with SSHException then: paramiko itself would wait for ever."""
    timer = threading.Timer(seconds, channel.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_code(channel: Channel, within: float) -> int:
    """Of a command that has written all it writes. TimeoutError when it is not told."""
    if not channel.status_event.wait(within + _MARGIN):
        raise TimeoutError
    return channel.recv_exit_status()


def connection_to(login: Login, identity: Path | None, connect_within: int = CONNECT_WITHIN) -> Connection:
    """Not open yet. With nap's own key, and whatever else the user's ssh would try.

    `connect_within` are the seconds that each step of opening it may take.
    """
    from fabric import Connection

    keys = {"key_filename": [str(identity)]} if identity else {}
    timeouts = {"banner_timeout": connect_within, "auth_timeout": connect_within}
    return Connection(
        login.host, user=login.user, port=login.port, connect_timeout=connect_within,
        connect_kwargs={**keys, **timeouts},
    )  # fmt: skip


def pin(client: SSHClient, login: Login) -> None:
    """Have no other host key accepted than the one on record."""
    from paramiko import PKey, RejectPolicy

    kind, _, text = login.host_key.partition(" ")
    name = login.host if login.port == 22 else f"[{login.host}]:{login.port}"
    client.get_host_keys().add(name, kind, PKey.from_type_string(kind, base64.b64decode(text)))
    client.set_missing_host_key_policy(RejectPolicy())


def refused(login: Login, identity: Path | None) -> UnitError:
    hint = f"let nap's key in: ssh-copy-id -i {identity}.pub {login}" if identity else "see: ssh-copy-id"
    return UnitError(f"{login} does not let nap in", hint)


def unreached(login: Login, error: Exception, hint: str) -> UnitError:
    """Why a connection did not come about."""
    # paramiko's words for a sshd that takes connections and says nothing, as one of a frozen machine.
    silent = isinstance(error, (TimeoutError, EOFError)) or "existing session" in str(error)
    if silent or "banner" in str(error):
        return UnitError(f"{login} does not answer", hint)
    why = getattr(error, "strerror", None) or str(error)
    return UnitError(f"{login} cannot be reached: {why}", hint)


class Links:
    """All nodes' connections, by the node's name."""

    def __init__(self, identity: Path, connect_within: int = CONNECT_WITHIN) -> None:
        self._identity = identity
        self._connect_within = connect_within
        self._links: dict[str, Link] = {}
        self._lock = threading.Lock()

    def to(self, node: Node) -> Link:
        with self._lock:
            link = self._links.get(node.name)
            if link is None or link.login != node.login:
                link = self._links[node.name] = Link(node.login, self._identity, self._connect_within)
            return link

    def apart(self, node: Node) -> Link:
        """A connection that is the caller's own, who closes it."""
        return Link(node.login, self._identity, self._connect_within)

    def each(self, nodes: Iterable[Node], step: Callable[[Node, Link], T]) -> dict[str, T | UnitError]:
        """What the step gives on each node, by name, all at once; a UnitError where it failed.

        No step waits for those of others, who may be fetching an image for minutes.
        """

        def attempt(node: Node) -> T | UnitError:
            try:
                return step(node, self.to(node))
            except UnitError as error:
                return error

        nodes = tuple(nodes)
        pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="node")
        try:
            return dict(zip((node.name for node in nodes), pool.map(attempt, nodes), strict=True))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def every(self, nodes: Iterable[Node], step: Callable[[Node, Link], T]) -> dict[str, T]:
        """The same where all are needed: the first node's error, once every node has answered."""
        answers = self.each(nodes, step)
        for answer in answers.values():
            if isinstance(answer, UnitError):
                raise answer
        return {name: answer for name, answer in answers.items() if not isinstance(answer, UnitError)}

    def close(self) -> None:
        for link in self._links.values():
            link.close()
