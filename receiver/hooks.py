"""The daemon's side of the git hooks: a push comes in, frames go out. See hook.py for their form."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from receiver import apps, jobs, story
from receiver.dispatcher import Dispatcher, Prelude
from receiver.errors import ReceiverError, explain
from receiver.ledger import App, Run
from receiver.parts import Parts
from receiver.prepare import Push
from receiver.ticket import Ticket
from units.job import Outcome

_NOBODY = "0" * 40
_PREFIX = "refs/heads/"


@dataclass(frozen=True)
class Update:
    """One line of a push: `ref` goes from the commit `old` to `new`; all zeros is none."""

    old: str
    new: str
    ref: str


@dataclass
class Call:
    """What one hook says. `session` is git's receive-pack: the same for all hooks of a push."""

    kind: str = ""
    repository: Path = Path()
    session: int = 0
    env: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)

    @property
    def app(self) -> str:
        return self.repository.name.removesuffix(".git")


class Hooks:
    """Answers the hooks of all apps."""

    def __init__(self, parts: Parts, dispatcher: Dispatcher) -> None:
        self._parts = parts
        self._dispatcher = dispatcher
        self._preludes: dict[int, Prelude] = {}
        self._accepted: dict[int, list[tuple[Run, int]]] = {}

    async def serve(self, path: Path) -> asyncio.AbstractServer:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, path)
        path.chmod(0o600)
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(reader, writer)
        try:
            call = await talk.listen()
            handle = {"pre-receive": self._check, "proc-receive": self._accept, "post-receive": self._show}
            await talk.exit(await handle[call.kind](call, talk))
        except ConnectionError:
            return
        except Exception as error:
            await talk.say(self._told(error))
            await talk.exit(1)
        finally:
            writer.close()

    def _told(self, error: Exception) -> str:
        """What was expected is told in a sentence; what was not goes to the log, whole."""
        if not hasattr(error, "message"):
            traceback.print_exception(error)
            return f"nap: nap itself failed; the whole of it is in {self._parts.home.log} on the receiver"
        return explain(error)

    async def _check(self, call: Call, talk: Talk) -> int:
        """pre-receive: everything that can fail because of what was pushed fails here."""
        app = self._parts.ledger.app(call.app)
        update = _only_deploy(call.updates, apps.branches(app))
        options = jobs.parse_options(call.options)
        self._parts.store.ping()
        lines: list[str] = []
        ticket = Ticket()
        gone = asyncio.create_task(talk.hung_up(lambda: ticket.cancel(Outcome(130))))
        try:
            push = Push(app, update.new, ticket.descriptor, call.env)
            prepared = await asyncio.to_thread(self._parts.preparer.prepare, push, talk.sayer(lines))
        finally:
            gone.cancel()
            ticket.close()
        jobs.check_options(prepared.plan, options)
        self._preludes[call.session] = Prelude(lines, prepared.seconds)
        return 0

    async def _accept(self, call: Call, talk: Talk) -> int:
        """proc-receive: from here on the push is the receiver's to carry out."""
        app = self._parts.ledger.app(call.app)
        options = jobs.parse_options(call.options)
        prelude = self._preludes.pop(call.session, Prelude())
        for update in call.updates:
            run, cursor = await asyncio.to_thread(
                self._dispatcher.accept, app.name, update.new, options, prelude
            )  # fmt: skip
            self._accepted.setdefault(call.session, []).append((run, cursor))
            verdict = ""
            if _strict(app, options):
                verdict = await self._verdict(run, cursor, talk)
                self._accepted.pop(call.session)
            await talk.report(f"ng {update.ref} {verdict}" if verdict else f"ok {update.ref}")
        return 0

    async def _verdict(self, run: Run, cursor: int, talk: Talk) -> str:
        """Empty when the run ended well."""
        await self._follow(run, cursor, talk)
        ended = self._parts.ledger.run(run.app, run.number)
        return f"run {ended.number}: exit {ended.exit_code}" if ended.exit_code else ""

    async def _show(self, call: Call, talk: Talk) -> int:
        """post-receive: the run goes on whether anybody looks on or not."""
        for run, cursor in self._accepted.pop(call.session, []):
            if "detach" in run.options:
                await talk.say(f"-----> run {run.number} of {run.app}: nap logs {run.app} {run.number} -f")
            else:
                await self._follow(run, cursor, talk)
        return 0

    async def _follow(self, run: Run, cursor: int, talk: Talk) -> None:
        async for frame in story.follow(self._parts.home.run(run.app, run.number), cursor):
            if frame.settled:
                return
            await talk.show(frame.output or (frame.say + "\n").encode() if not frame.end else b"")


class Talk:
    """The connection to one hook."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def listen(self) -> Call:
        """Everything the hook has to say, up to the blank line."""
        call = Call(session=_parent(_peer(self._writer.get_extra_info("socket"))))
        while line := (await self._reader.readline()).decode().rstrip("\n"):
            word, _, value = line.partition(" ")
            if word == "hook":
                call.kind = value
            elif word == "repository":
                call.repository = Path(value)
            elif word == "env":
                name, _, setting = value.partition("=")
                call.env[name] = setting
            elif word == "option":
                call.options.append(value)
            elif word == "update":
                call.updates.append(Update(*value.split(" ", 2)))
        return call

    async def hung_up(self, then: Callable[[], None]) -> None:
        """The hook says nothing more; that it can be read means that it is gone."""
        await self._reader.read(1)
        then()

    def sayer(self, lines: list[str]) -> Callable[[str], None]:
        """For another thread: say a line, and keep it in `lines`."""
        loop = asyncio.get_running_loop()

        def say(line: str) -> None:
            lines.append(line)
            loop.call_soon_threadsafe(self._write, b"o", (line + "\n").encode())

        return say

    async def say(self, text: str) -> None:
        await self.show((text + "\n").encode())

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


def _peer(connection: socket.socket) -> int:
    """The number of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return os.getpid()


def _strict(app: App, options: dict[str, str]) -> bool:
    return "strict" in options or bool(app.config.get("strict"))


def _only_deploy(updates: list[Update], branches: tuple[str, ...]) -> Update:
    """The one update that is to be deployed; anything else in a push is refused with it."""
    for update in updates:
        if refusal := _refusal(update, branches):
            raise refusal
    if len(updates) != 1:
        raise ReceiverError("one branch is deployed at a time", f"git push nap {branches[0]}")
    return updates[0]


def _refusal(update: Update, branches: tuple[str, ...]) -> ReceiverError | None:
    kind, name = "branch", update.ref.removeprefix(_PREFIX)
    deploys, push = " or ".join(branches), f"git push nap {branches[0]}"
    if not update.ref.startswith(_PREFIX):
        kind = "tag" if update.ref.startswith("refs/tags/") else "ref"
    if update.new == _NOBODY:
        return ReceiverError(f"the {kind} {name} cannot be deleted here", "nap destroy removes an app")
    if kind != "branch":
        return ReceiverError(f"the {kind} {name} is not deployed, {deploys} is", push)
    if name not in branches:
        hint = f"git push nap {name}:{branches[0]}, or: nap config APP branch={name}"
        return ReceiverError(f"the branch {name} is not deployed, {deploys} is", hint)
    return None
