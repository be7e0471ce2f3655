"""Getting into a machine for the first time: its host key is learnt, and nap's own key is let in."""

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
_LET_IN, _LET_OUT = (Path(__file__).with_name(name) for name in ("let_in.sh", "let_out.sh"))
# The last that the script writes; a login's own shell may have said something before.
_DONE = b"nap's key is let in"
_CHUNK = 65536
_WRITTEN_WITHIN = 20.0


@dataclass(frozen=True)
class Target:
    """Where to go, as it was typed: `user` "" and `port` 0 are left to ssh's own settings."""

    user: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """From `[USER@]HOST[:PORT]`, an IPv6 address in brackets."""
        match = _TARGET.fullmatch(text)
        if not match or int(match["port"] or 1) not in range(1, 65536) or text.startswith("-"):
            raise ReceiverError(f"{text!r} is not a machine to log in to", "write [USER@]HOST[:PORT]")
        return cls(match["user"] or "", match["v6"] or match["host"], int(match["port"] or 0))


@dataclass(frozen=True)
class Entered:
    """Inside: `login` has the host key that was shown; `how` says which key opened.

    `let_in` is whether nap's own was put there just now.
    """

    connection: Connection
    login: Login
    how: str
    let_in: bool = False

    def ask(self, script: str, within: float) -> Iterator[bytes]:
        """What a POSIX shell writes that runs `script` as the login's user, in pieces as they come."""
        from paramiko import SSHException

        try:
            channel = self.connection.transport.open_session(timeout=within)
            channel.settimeout(within)
            channel.exec_command("exec sh -s")
            yield from tell(channel, script)
        except (OSError, EOFError, SSHException) as error:
            raise ReceiverError(f"{self.login} did not answer within {within:.0f} s") from error


def tell(channel: Channel, script: str) -> Iterator[bytes]:
    """What the shell at the other end says to `script`, in pieces as they come. OSError when it is late."""
    try:
        channel.set_combine_stderr(True)
        channel.sendall(script.encode())
        channel.shutdown_write()
        yield from iter(lambda: channel.recv(_CHUNK), b"")
    finally:
        channel.close()


@contextmanager
def enter(target: Target, book: NodeBook) -> Iterator[Entered]:
    """Log in with nap's own key; with the user's keys where that one is not let in yet, and let it in.

    ReceiverError when neither opens, or nobody is there.
    """
    inside = _entered(target, book)
    try:
        yield inside
    finally:
        inside.connection.close()


def let_out(inside: Entered, key: str) -> None:
    """Take the line `key` out of the keys that open this login. ReceiverError when it does not answer."""
    file = "file=$HOME/.ssh/authorized_keys"
    list(inside.ask(f"key={shlex.quote(key)}\n{file}\n{_LET_OUT.read_text()}", _WRITTEN_WITHIN))


def fingerprint(host_key: str) -> str:
    """As ssh shows it: `SHA256:...`."""
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
    """What the user's ssh would make of it, with its settings, keys and agent."""
    from fabric import Connection

    timeouts = {"banner_timeout": CONNECT_WITHIN, "auth_timeout": CONNECT_WITHIN}
    return Connection(
        target.host, user=target.user or None, port=target.port or None, connect_timeout=CONNECT_WITHIN,
        connect_kwargs=timeouts,
    )  # fmt: skip


def _with_naps_key(login: Login, identity: Path) -> Connection | None:
    """Open, with no other key than nap's; None when that is not let in."""
    connection = connection_to(login, identity)
    connection.connect_kwargs.update(allow_agent=False, look_for_keys=False)
    return connection if _open(connection, login) else None


def _open(connection: Connection, login: Login) -> bool:
    """Open it; False when no key is let in. An unknown host key is learnt, a known one has to be the same."""
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
    """As ssh's own commands take it."""
    port = "" if login.port == 22 else f"-p {login.port} "
    return f"{port}{login.user}@{login.host}"
