"""The daemon's side of the git hooks: a push comes in; it is refused, or accepted and shown."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver import apps, git, jobs, story
from receiver.dispatcher import Dispatcher, Prelude
from receiver.errors import ReceiverError, explain
from receiver.ledger import App, Run
from receiver.parts import Parts
from receiver.prepare import Push
from receiver.talk import Call, Talk, Update
from receiver.ticket import Ticket
from units.job import Outcome

_NOBODY = "0" * 40
_PREFIX = "refs/heads/"
_TAGS = "refs/tags/"
_LONGEST_LINE = 1 << 18  # git sends options of up to 64 KB


class Hooks:
    """Answers the hooks of all apps."""

    def __init__(self, parts: Parts, dispatcher: Dispatcher) -> None:
        self._parts = parts
        self._dispatcher = dispatcher
        self._preludes: dict[int, Prelude] = {}
        self._accepted: dict[int, list[tuple[Run, int]]] = {}
        self._builds: set[Ticket] = set()

    async def serve(self, path: Path) -> asyncio.AbstractServer:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, path, limit=_LONGEST_LINE)
        path.chmod(0o600)
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = Talk(reader, writer)
        beat = asyncio.create_task(talk.beat())
        try:
            await talk.exit(await self._handle(talk))
        except ConnectionError:
            return
        finally:
            beat.cancel()
            writer.close()

    async def _handle(self, talk: Talk) -> int:
        try:
            call = await talk.listen()
            handle = {"pre-receive": self._check, "proc-receive": self._accept, "post-receive": self._show}
            return await handle[call.kind](call, talk)
        except ConnectionError:
            raise
        except Exception as error:
            await talk.say(self._told(error))
            return 1

    def give_up(self) -> None:
        """Stop what is being built for pushes that are not accepted yet."""
        for ticket in self._builds:
            ticket.cancel(Outcome(130))

    def _told(self, error: Exception) -> str:
        """What was expected is told in a sentence; what was not goes to the log, whole."""
        if not hasattr(error, "message"):
            traceback.print_exception(error)
            return f"nap: nap itself failed; the whole of it is in {self._parts.home.log} on the receiver"
        return explain(error)

    async def _check(self, call: Call, talk: Talk) -> int:
        """pre-receive: everything that can fail because of what was pushed fails here."""
        app = self._parts.ledger.app(call.app)
        update = only_deploy(app.name, call.updates, apps.branches(app))
        options = jobs.parse_options(call.options)
        await asyncio.to_thread(self._parts.store.ping)
        lines: list[str] = []
        self._forget_after(call)
        with self._building(talk) as ticket:
            push = Push(app, update.new, ticket.descriptor, call.env, options)
            prepared = await asyncio.to_thread(self._parts.preparer.prepare, push, talk.sayer(lines))
        self._preludes[call.session] = Prelude(lines, prepared.seconds, prepared)
        return 0

    @contextmanager
    def _building(self, talk: Talk) -> Iterator[Ticket]:
        """A ticket that is cancelled when the hook is gone (a Ctrl-C reaches it), or by `give_up`."""
        ticket = Ticket()
        self._builds.add(ticket)
        gone = asyncio.create_task(talk.hung_up(lambda: ticket.cancel(Outcome(130))))
        try:
            yield ticket
        finally:
            gone.cancel()
            self._builds.discard(ticket)
            ticket.close()

    def _forget_after(self, call: Call) -> None:
        """Once git's receive-pack has ended nothing of this push is left; its number may come again."""
        try:
            watched = os.pidfd_open(call.session)
        except ProcessLookupError:
            return
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(watched)
            os.close(watched)
            self._preludes.pop(call.session, None)
            self._accepted.pop(call.session, None)
            git.sweep(call.env)

        loop.add_reader(watched, ended)

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
        shown = b"\n"
        async for frame in story.follow(self._parts.home.run(run.app, run.number), cursor):
            if frame.settled:
                return
            if frame.output:
                await talk.show(frame.output)
                shown = frame.output
            elif not frame.end:
                if not shown.endswith(b"\n"):
                    await talk.show(b"\n")  # what nap says is not of the program's last line
                await talk.say(frame.say)
                shown = b"\n"


def _strict(app: App, options: dict[str, str]) -> bool:
    return "strict" in options or bool(app.config.get("strict"))


def only_deploy(app: str, updates: list[Update], branches: tuple[str, ...]) -> Update:
    """The one update that is to be deployed; anything else in a push is refused with it."""
    for update in updates:
        if refusal := _refusal(app, update, branches):
            raise refusal
    if len(updates) != 1:
        raise ReceiverError("one branch is deployed at a time", f"git push nap {branches[0]}")
    return updates[0]


def _refusal(app: str, update: Update, branches: tuple[str, ...]) -> ReceiverError | None:
    kind, name = "branch", update.ref.removeprefix(_PREFIX)
    deploys, push = " or ".join(branches), f"git push nap {branches[0]}"
    if not update.ref.startswith(_PREFIX):
        kind = "tag" if update.ref.startswith(_TAGS) else "ref"
        name = update.ref.removeprefix(_TAGS)
    if update.new == _NOBODY:
        return ReceiverError(f"the {kind} {name} cannot be deleted here", "nap destroy removes an app")
    if kind != "branch":
        return ReceiverError(f"the {kind} {name} is not deployed, {deploys} is", push)
    if name not in branches:
        hint = f"git push nap {name}:{branches[0]}, or: nap config {app} branch={name}"
        return ReceiverError(f"the branch {name} is not deployed, {deploys} is", hint)
    return None
