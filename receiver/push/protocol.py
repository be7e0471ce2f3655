"""The daemon's side of the hook protocol: a request comes in, frames go out. See hook.py for the format."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from receiver.printable import printable

BRANCHES = "refs/heads/"
_TAGS = "refs/tags/"
_LONGEST_NAME = 100
_BEAT = 20.0  # seconds; hook.SILENT_AFTER is several of these
_READS_WITHIN = 120.0  # seconds; longer than hook.GONE_AFTER


@dataclass(frozen=True)
class Update:
    """One line of a push: `ref` moves from the object `old` to `new`. All zeros means no object."""

    old: str
    new: str
    ref: str

    @property
    def is_branch(self) -> bool:
        return self.ref.startswith(BRANCHES)

    @property
    def is_tag(self) -> bool:
        return self.ref.startswith(_TAGS)

    @property
    def deletes(self) -> bool:
        return not self.new.strip("0")

    @property
    def shown(self) -> str:
        """The short name for people, with at most 100 characters: git accepts names of 60 KB."""
        name = self.ref.removeprefix(BRANCHES).removeprefix(_TAGS)
        return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


@dataclass
class HookCall:
    """The request of one hook. `session` is the pid of git's receive-pack: the same for all hooks of a push.

    `user` is the uid that the hook runs as; `login` has sshd's variables about the login.
    """

    kind: str = ""
    repository: Path = Path()
    session: int = 0
    user: int = 0
    login: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)

    @property
    def app(self) -> str:
        return self.repository.name.removesuffix(".git")


class Talk:
    """The connection to one hook."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def listen(self) -> HookCall:
        """Read the hook's request, up to the blank line. Raise ConnectionError when the hook has ended."""
        pid, user = _peer(self._writer.get_extra_info("socket"))
        call = HookCall(session=_parent(pid), user=user)
        while line := (await self._reader.readline()).decode("utf-8", "surrogateescape").rstrip("\n"):
            word, _, value = line.partition(" ")
            if word == "hook":
                call.kind = value
            elif word == "repository":
                call.repository = Path(value)
            elif word == "env":
                name, _, setting = value.partition("=")
                call.env[name] = setting
            elif word == "login":
                name, _, setting = value.partition("=")
                call.login[name] = setting
            elif word == "option":
                call.options.append(value)
            elif word == "update":
                call.updates.append(Update(*value.split(" ", 2)))
        if not call.kind:
            raise ConnectionError("the hook ended before it said what it is")
        return call

    async def beat(self) -> None:
        """Send an empty frame every 20 seconds: the hook treats a silent receiver as dead."""
        while True:
            await asyncio.sleep(_BEAT)
            self._write(b"o", b"")

    async def hung_up(self, then: Callable[[], None]) -> None:
        """Call `then` once the hook is gone: it sends nothing after its request, so a read means EOF."""
        await self._reader.read(1)
        then()

    def sayer(self, lines: list[str]) -> Callable[[str], None]:
        """Return a function for other threads that says a line, and adds it to `lines`.

        The function waits for a slow hook for at most 120 seconds, and then fails with a timeout.
        """
        loop = asyncio.get_running_loop()

        def say(line: str) -> None:
            lines.append(line)
            asyncio.run_coroutine_threadsafe(self.say(line), loop).result(_READS_WITHIN)

        return say

    async def say(self, text: str) -> None:
        """Show a line of nap's with control characters escaped. `show` sends a program's output as it is."""
        await self.show((printable(text) + "\n").encode("utf-8", "surrogateescape"))

    async def show(self, data: bytes) -> None:
        self._write(b"o", data)
        await self._writer.drain()

    async def report(self, line: str) -> None:
        self._write(b"r", (line + "\n").encode())
        await self._writer.drain()

    async def exit(self, code: int) -> None:
        self._write(b"x", str(code).encode())
        await self._writer.drain()

    def _write(self, kind: bytes, data: bytes) -> None:
        self._writer.write(b"%s%08d%s" % (kind, len(data), data))


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and the uid of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, user, _ = struct.unpack("3i", credentials)
    return pid, user


def _parent(pid: int) -> int:
    try:
        # The second field is the command's name in parentheses, which can itself contain `)`.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError as error:
        raise ConnectionError("the hook has ended") from error
