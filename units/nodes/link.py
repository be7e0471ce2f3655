"""SSH connections to nodes: each is opened once, kept, and opened again after it was lost.

Commands run as root. Every request has a timeout, also when the node stops answering.
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
# paramiko's exit code when the other side sent none.
_CUT = -1
# The exit code of timeout(1), which runs every command of `run`.
_LATE = 124
# Seconds that this side waits longer than timeout(1) on the node, whose exit code says the command was late.
_MARGIN = 2.0
# Connections to one node. sshd allows ten sessions in each by default (MaxSessions).
_MOST = 30
# Connections kept after they were late once, for requests that are still under way on them.
_MOST_ASIDE = 3
T = TypeVar("T")
# paramiko raises what it logs. Without a handler Python would print its log to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Done:
    """The result of a command: its exit code, standard output and standard error."""

    code: int
    out: bytes
    err: str

    @property
    def last(self) -> str:
        """The last line of its errors, else of its output, else its exit code: for an error message."""
        lines = (self.err.strip() or self.out.decode(errors="replace").strip()).splitlines()
        if self.code == _LATE and not lines:
            return "it did not end in time"
        return lines[-1] if lines else f"exit {self.code}"


class Link:
    """The connection to one node, safe to use from several threads at a time."""

    def __init__(self, login: Login, identity: Path | None, connect_within: int = CONNECT_WITHIN) -> None:
        self.login = login
        self._identity = identity
        self._connect_within = connect_within
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._aside: list[Connection] = []
        self._failed: tuple[float, UnitError] | None = None

    def run(self, argv: Sequence[str], given: bytes = b"", within: float = 30.0) -> Done:
        """Run a command as root, with `given` on its standard input, for at most `within` seconds.

        Raise UnitError when the node does not answer. Any exit code is returned, 124 after the timeout.
        """
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
        """Run a command like `run`, and return its output. Raise UnitError also for a nonzero exit code."""
        done = self.run(argv, given, within)
        if done.code:
            raise UnitError(f"{argv[0]} failed on {self.login}: {done.last}")
        return done.out.decode(errors="replace")

    def open(self, argv: Sequence[str], within: float) -> Channel:
        """Start the command as root and return its channel, whose reads time out soon after `within` seconds.

        Raise UnitError when the node does not answer.
        """
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
        """Return the client of connection `number`, opened if needed.

        A thread that waited while another one failed to connect raises that error, without a second timeout.
        """
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
        """Make the next request open a new connection. Requests under way, such as an image pull, go on."""
        with self._lock:
            late = [one for one in (*self._aside, *self._connections) if one.is_connected]
            self._connections, self._aside = [], late[-_MOST_ASIDE:]
        _close(late[:-_MOST_ASIDE])

    def close(self) -> None:
        """Close all connections. Requests under way fail with a lost connection."""
        with self._lock:
            connections = [*self._aside, *self._connections]
            self._connections, self._aside = [], []
        _close(connections)


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.client.close()


@contextmanager
def _closed_after(channel: Channel, seconds: float) -> Iterator[None]:
    """Close the channel after `seconds`: the wait inside, unlimited by paramiko, ends with SSHException."""
    timer = threading.Timer(seconds, channel.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def exit_code(channel: Channel, within: float) -> int:
    """Return the exit code of a command whose output has ended. Raise TimeoutError when none arrives."""
    if not channel.status_event.wait(within + _MARGIN):
        raise TimeoutError
    return channel.recv_exit_status()


def connection_to(login: Login, identity: Path | None, connect_within: int = CONNECT_WITHIN) -> Connection:
    """Return a connection, not open yet, that tries nap's own key and then what the user's ssh would try.

    `connect_within` is the timeout in seconds of each step of opening it.
    """
    from fabric import Connection

    keys = {"key_filename": [str(identity)]} if identity else {}
    timeouts = {"banner_timeout": connect_within, "auth_timeout": connect_within}
    return Connection(
        login.host, user=login.user, port=login.port, connect_timeout=connect_within,
        connect_kwargs={**keys, **timeouts},
    )  # fmt: skip


def pin(client: SSHClient, login: Login) -> None:
    """Accept only the host key on record."""
    from paramiko import PKey, RejectPolicy

    kind, _, text = login.host_key.partition(" ")
    name = login.host if login.port == 22 else f"[{login.host}]:{login.port}"
    client.get_host_keys().add(name, kind, PKey.from_type_string(kind, base64.b64decode(text)))
    client.set_missing_host_key_policy(RejectPolicy())


def refused(login: Login, identity: Path | None) -> UnitError:
    hint = f"let nap's key in: ssh-copy-id -i {identity}.pub {login}" if identity else "see: ssh-copy-id"
    return UnitError(f"{login} does not let nap in", hint)


def unreached(login: Login, error: Exception, hint: str) -> UnitError:
    """Return the error for a connection that could not be opened."""
    # paramiko's messages when connections are accepted but sshd is silent, as on a frozen machine.
    silent = isinstance(error, (TimeoutError, EOFError)) or "existing session" in str(error)
    if silent or "banner" in str(error):
        return UnitError(f"{login} does not answer", hint)
    why = getattr(error, "strerror", None) or str(error)
    return UnitError(f"{login} cannot be reached: {why}", hint)


class Links:
    """The connections to all nodes, by the node's name."""

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
        """Return a separate connection. The caller closes it."""
        return Link(node.login, self._identity, self._connect_within)

    def each(self, nodes: Iterable[Node], step: Callable[[Node, Link], T]) -> dict[str, T | UnitError]:
        """Run `step` on all nodes in parallel, and return each one's result, or its UnitError, by name.

        Each call has its own thread pool: a shared one could be full of image pulls that take minutes.
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
        """Run `step` like `each`. Once all have finished, raise the first node's error, if any failed."""
        answers = self.each(nodes, step)
        for answer in answers.values():
            if isinstance(answer, UnitError):
                raise answer
        return {name: answer for name, answer in answers.items() if not isinstance(answer, UnitError)}

    def close(self) -> None:
        with self._lock:
            links = [*self._links.values()]
        for link in links:
            link.close()
