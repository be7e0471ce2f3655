"""The first login to a machine: its host key is recorded, and nap's own key is authorized."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.errors import ReceiverError
from receiver.nodes.book import NodeBook
from units.nodes.link import CONNECT_WITHIN, connection_to, pin, unreached
from units.nodes.node import Login

if TYPE_CHECKING:
    from fabric import Connection
    from paramiko import Channel

_TARGET = re.compile(
    r"((?P<user>[^@\s:]+)@)?(\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s@:\[\]]+))(:(?P<port>\d{1,5}))?"
)
_LET_IN, _LET_OUT = (Path(__file__).with_name("shell") / name for name in ("let_in.sh", "let_out.sh"))
# The last line of the script's output. The login's own shell can print other lines before it.
_DONE = b"nap's key is let in"
_CHUNK = 65536
_WRITTEN_WITHIN = 20.0


@dataclass(frozen=True)
class Target:
    """The address as it was typed. `user` "" and `port` 0 leave the choice to the user's ssh settings."""

    user: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse `[USER@]HOST[:PORT]`, with an IPv6 address in brackets. Raise ReceiverError otherwise."""
        match = _TARGET.fullmatch(text)
        if not match or int(match["port"] or 1) not in range(1, 65536) or text.startswith("-"):
            raise ReceiverError(f"{text!r} is not a machine to log in to", "write [USER@]HOST[:PORT]")
        return cls(match["user"] or "", match["v6"] or match["host"], int(match["port"] or 0))


@dataclass(frozen=True)
class Entered:
    """An open connection. `login` has the host key that the machine presented.

    `how` says which key was accepted. `let_in` is whether nap's own key was authorized just now.
    """

    connection: Connection
    login: Login
    how: str
    let_in: bool = False

    def ask(self, script: str, within: float) -> Iterator[bytes]:
        """Run `script` in a POSIX shell as the login's user, and yield its output as it arrives.

        Raise ReceiverError when nothing arrives for `within` seconds.
        """
        from paramiko import SSHException

        try:
            channel = self.connection.transport.open_session(timeout=within)
            channel.settimeout(within)
            channel.exec_command("exec sh -s")
            yield from tell(channel, script)
        except (OSError, EOFError, SSHException) as error:
            raise ReceiverError(f"{self.login} did not answer within {within:.0f} s") from error


def tell(channel: Channel, script: str) -> Iterator[bytes]:
    """Send `script` to the channel's shell, and yield its output as it arrives. Raise OSError on timeout."""
    try:
        channel.set_combine_stderr(True)
        channel.sendall(script.encode())
        channel.shutdown_write()
        yield from iter(lambda: channel.recv(_CHUNK), b"")
    finally:
        channel.close()


@contextmanager
def enter(target: Target, book: NodeBook) -> Iterator[Entered]:
    """Log in with nap's own key, or with the user's keys, which then authorize nap's key.

    Raise ReceiverError when both are refused or the machine cannot be reached.
    """
    inside = _entered(target, book)
    try:
        yield inside
    finally:
        inside.connection.close()


def let_out(inside: Entered, key: str) -> None:
    """Remove the line `key` from the login's authorized_keys. Raise ReceiverError when nothing answers."""
    file = "file=$HOME/.ssh/authorized_keys"
    list(inside.ask(f"key={shlex.quote(key)}\n{file}\n{_LET_OUT.read_text()}", _WRITTEN_WITHIN))


def fingerprint(host_key: str) -> str:
    """Return the fingerprint of a `TYPE BASE64` key in ssh's form, `SHA256:...`."""
    digest = hashlib.sha256(base64.b64decode(host_key.partition(" ")[2])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _entered(target: Target, book: NodeBook) -> Entered:
    ours = _connection(target)
    where = Login(ours.user, ours.host, ours.port, "")
    if naps := _with_naps_key(where, book.identity):
        return Entered(naps, _login(naps), "with nap's own key")
    if not _open(ours, where):
        raise _refused(where, book.identity)
    try:
        login = _login(ours)
        _let_in(Entered(ours, login, ""), book.public_key)
    finally:
        ours.close()
    naps = _with_naps_key(login, book.identity)
    if naps is None:
        sentence = f"{where} does not look for keys in ~/.ssh/authorized_keys, where nap's was put"
        hint = f"put this line where its sshd looks (AuthorizedKeysFile): {book.public_key}"
        raise ReceiverError(sentence, hint)
    how = f"with your key; nap's was put into ~/.ssh/authorized_keys of {where.user}"
    return Entered(naps, _login(naps), how, let_in=True)


def _connection(target: Target) -> Connection:
    """Return an unopened connection with the user's own ssh settings, keys and agent."""
    from fabric import Connection

    timeouts = {"banner_timeout": CONNECT_WITHIN, "auth_timeout": CONNECT_WITHIN}
    return Connection(
        target.host, user=target.user or None, port=target.port or None, connect_timeout=CONNECT_WITHIN,
        connect_kwargs=timeouts,
    )  # fmt: skip


def _with_naps_key(login: Login, identity: Path) -> Connection | None:
    """Return an open connection that used nap's key only, or None when that key is refused."""
    connection = connection_to(login, identity)
    connection.connect_kwargs.update(allow_agent=False, look_for_keys=False)
    return connection if _open(connection, login) else None


def _open(connection: Connection, login: Login) -> bool:
    """Open it. Return False when every key is refused, and raise ReceiverError for any other failure.

    An unknown host key is accepted; a known one has to match.
    """
    from paramiko import AuthenticationException, AutoAddPolicy, BadHostKeyException, SSHException

    if login.host_key:
        pin(connection.client, login)
    else:
        connection.client.load_system_host_keys()
        connection.client.set_missing_host_key_policy(AutoAddPolicy())
    try:
        connection.open()
    except BadHostKeyException as error:
        sentence = f"{login.host} shows another host key than the one in ~/.ssh/known_hosts"
        hint = f"if it was installed anew: ssh-keygen -R {login.host}"
        raise ReceiverError(sentence, hint) from error
    except AuthenticationException:
        return False
    except (OSError, EOFError, SSHException) as error:
        if str(error) == "No authentication methods available":
            return False
        raise unreached(login, error, f"try it by hand: ssh {_words(login)}") from error
    return True


def _login(connection: Connection) -> Login:
    key = connection.transport.get_remote_server_key()
    shown = f"{key.get_name()} {key.get_base64()}"
    return Login(connection.user, connection.host, connection.port, shown)


def _let_in(inside: Entered, key: str) -> None:
    said = b"".join(inside.ask(f"key={shlex.quote(key)}\n{_LET_IN.read_text()}", _WRITTEN_WITHIN))
    if _DONE not in said:
        last = (said.decode(errors="replace").strip().splitlines() or ["nothing was said"])[-1]
        raise ReceiverError(f"nap's key cannot be let in at {inside.login}: {last}")


def _refused(login: Login, identity: Path) -> ReceiverError:
    hint = f"let nap's key in: ssh-copy-id -i {identity}.pub {_words(login)}"
    return ReceiverError(f"{login} lets neither nap nor you in", hint)


def _words(login: Login) -> str:
    """Return the login as arguments of ssh's own commands."""
    port = "" if login.port == 22 else f"-p {login.port} "
    return f"{port}{login.user}@{login.host}"
