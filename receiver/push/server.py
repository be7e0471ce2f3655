"""The daemon's handling of the git hooks: a push is refused, or accepted and its run shown."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from receiver import ensure_discovery, repository
from receiver.errors import ReceiverError, explain, foreseen
from receiver.ledger.ledger import App, Run
from receiver.push import pusher
from receiver.push.protocol import BRANCHES, HookCall, Talk, Update
from receiver.runs import apps, jobs, services, story
from receiver.runs.cancellation import Cancellation
from receiver.runs.context import Context
from receiver.runs.dispatcher import Dispatcher, Prelude
from receiver.runs.prepare import Prepared, Push
from receiver.text.output import Say
from units.job import Outcome

_LONGEST_LINE = 1 << 18  # git sends options of up to 64 KB


class Hooks:
    """Answers the hooks of all apps."""

    def __init__(self, context: Context, dispatcher: Dispatcher) -> None:
        self._context = context
        self._dispatcher = dispatcher
        self._preludes: dict[int, Prelude] = {}
        self._accepted: dict[int, list[tuple[Run, int]]] = {}
        self._builds: set[Cancellation] = set()

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
        """Cancel the builds of pushes that are not accepted yet."""
        for cancellation in self._builds:
            cancellation.cancel(Outcome(130))

    def _told(self, error: Exception) -> str:
        """Return the text for the pusher. An unexpected error's traceback goes to the log."""
        if told := foreseen(error, self._context.home.root):
            return explain(told)
        traceback.print_exception(error)
        return f"nap: nap itself failed; the whole of it is in {self._context.home.log} on the receiver"

    async def _check(self, call: HookCall, talk: Talk) -> int:
        """Handle pre-receive: every error in the pushed files or options is reported here."""
        app = self._context.ledger.app(call.app)
        update = only_deploy(app.name, call.updates, apps.branches(app))
        options = jobs.parse_options(call.options)
        if update is None:
            return 0
        tags = [tag.new for tag in call.updates if tag.is_tag and not tag.deletes]
        lines: list[str] = []
        self._forget_after(call)
        with self._building(talk) as cancellation:
            push = Push(app, update.new, cancellation.descriptor, call.env, options, tags)
            prepared = await asyncio.to_thread(self._prepared, push, talk.sayer(lines))
        self._preludes[call.session] = Prelude(lines, prepared.seconds, prepared)
        return 0

    def _prepared(self, push: Push, say: Say) -> Prepared:
        """Prepare the commit, after a check that etcd and discovery, which every run needs, are up."""
        self._context.store.ping()
        ensure_discovery.ensure(self._context.home, say)
        return self._context.preparer.prepare(push, say)

    @contextmanager
    def _building(self, talk: Talk) -> Iterator[Cancellation]:
        """Yield a cancellation that fires when the hook is gone (Ctrl-C ends it), or on `give_up`."""
        cancellation = Cancellation()
        self._builds.add(cancellation)
        gone = asyncio.create_task(talk.hung_up(lambda: cancellation.cancel(Outcome(130))))
        try:
            yield cancellation
        finally:
            gone.cancel()
            self._builds.discard(cancellation)
            cancellation.close()

    def _forget_after(self, call: HookCall) -> None:
        """Drop all state of this push once git's receive-pack has ended: its pid can be reused."""
        try:
            # A pidfd becomes readable when its process ends.
            watched = os.pidfd_open(call.session)
        except ProcessLookupError:
            return
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(watched)
            os.close(watched)
            self._preludes.pop(call.session, None)
            self._accepted.pop(call.session, None)
            repository.sweep(call.env)

        loop.add_reader(watched, ended)

    async def _accept(self, call: HookCall, talk: Talk) -> int:
        """Handle proc-receive: from the acceptance on, the receiver guarantees the run."""
        app = self._context.ledger.app(call.app)
        options = jobs.parse_options(call.options)
        who = pusher.name(call.user, call.login)
        prelude = replace(self._preludes.pop(call.session, Prelude()), who=who)
        for update in call.updates:
            try:
                commit = await asyncio.to_thread(self._commit, app, update, prelude)
                accepted = await asyncio.to_thread(
                    self._dispatcher.accept, app.name, commit, options, prelude
                )  # fmt: skip
            except Exception as error:
                # git needs the refusal in its protocol: a failing hook would only cause an obscure error.
                await talk.say(self._told(error))
                await talk.report(f"ng {update.ref} nap did not accept it")
                continue
            self._accepted.setdefault(call.session, []).append(accepted)
            verdict = ""
            if _strict(app, options):
                verdict = await self._verdict(*accepted, talk)
                self._accepted.pop(call.session, None)
            await talk.report(f"ng {update.ref} {verdict}" if verdict else f"ok {update.ref}")
        return 0

    def _commit(self, app: App, update: Update, prelude: Prelude) -> str:
        """Return the pushed object's commit: known from pre-receive, unless the receiver was restarted."""
        if prelude.prepared:
            return prelude.prepared.commit
        with repository.opened(self._context.home.repository(app.name)) as repo:
            return repository.peel(repo, update.new).id

    async def _verdict(self, run: Run, cursor: int, talk: Talk) -> str:
        """Show the run to its end. Return why a strict push fails; empty when the run ended well or is up."""
        await self._follow(run, cursor, talk)
        ended = self._context.ledger.run(run.app, run.number)
        if ended.has_ended or services.is_up(ended):
            return f"run {ended.number}: exit {ended.exit_code}" if ended.exit_code else ""
        return f"run {ended.number}: its end could not be recorded"

    async def _show(self, call: HookCall, talk: Talk) -> int:
        """Handle post-receive: show the run, which continues without a reader as well."""
        for run, cursor in self._accepted.pop(call.session, []):
            if "detach" in run.options:
                await talk.say(f"-----> run {run.number} of {run.app}: nap logs {run.app} {run.number} -f")
            else:
                await self._follow(run, cursor, talk)
        return 0

    async def _follow(self, run: Run, cursor: int, talk: Talk) -> None:
        shown, folder = b"\n", self._context.home.run(run.app, run.number)
        changes = self._context.changes
        async for frame in story.follow(changes, folder, cursor, lambda: not self._dispatcher.has(run)):
            if frame.settled or frame.end:
                return
            if frame.output:
                await talk.show(frame.output)
                shown = frame.output
            else:
                if not shown.endswith(b"\n"):
                    await talk.show(b"\n")  # nap's lines begin on a new line
                await talk.say(frame.say)
                shown = b"\n"
        await talk.say(f"-----> run {run.number} of {run.app} is over: nap logs {run.app} {run.number}")


def _strict(app: App, options: dict[str, str]) -> bool:
    return "strict" in options or bool(app.config.get("strict"))


def only_deploy(app: str, updates: list[Update], branches: tuple[str, ...]) -> Update | None:
    """Return the one update to deploy. Raise ReceiverError when the push has other branches or refs as well.

    Tags are allowed beside it: git keeps them. Return None for a push that only deletes tags.
    """
    tags = [update for update in updates if update.is_tag]
    others = [update for update in updates if not update.is_tag]
    for update in others:
        if refusal := _refusal(app, update, branches):
            raise refusal
    if len(others) > 1:
        raise ReceiverError("one branch is deployed at a time", f"git push nap {branches[0]}")
    if others:
        return others[0]
    for tag in tags:
        if not tag.deletes:
            hint = f"git push nap {tag.shown}:{BRANCHES}{branches[0]}"
            raise ReceiverError(f"the tag {tag.shown} is not deployed, {' or '.join(branches)} is", hint)
    return None


def _refusal(app: str, update: Update, branches: tuple[str, ...]) -> ReceiverError | None:
    name, deploys, push = update.shown, " or ".join(branches), f"git push nap {branches[0]}"
    kind = "branch" if update.is_branch else "ref"
    if update.deletes:
        hint = f"to run the app: {push}; to remove it: nap destroy {app}"
        return ReceiverError(f"the {kind} {name} cannot be deleted here", hint)
    if not update.is_branch:
        return ReceiverError(f"the {kind} {name} is not deployed, {deploys} is", push)
    if name not in branches:
        hint = f"git push nap {name}:{branches[0]}, or: nap config {app} branch={name}"
        return ReceiverError(f"the branch {name} is not deployed, {deploys} is", hint)
    return None
