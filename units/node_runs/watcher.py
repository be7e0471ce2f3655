"""Watch the nodes that have runs, for slaves that ended and for nodes that do not answer any more."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from units.errors import UnitError
from units.job import Outcome
from units.node_runs.tail import Ended
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.scripts import script
from units.supervisor.exitcode import in_words, lost_in_words

_BETWEEN_LOOKS = 1.0
_ANSWERS_WITHIN = 5.0
# Results that nodes report beside those of a slave's unit.
_SILENT, _DAEMON = "silent", "daemon"
# Seconds that sending units mostly takes. Connecting earlier would delay it.
_SENT_WITHIN = 5.0


@dataclass(frozen=True)
class NodeFinding:
    """A node's report on a run: a slave has ended or does not answer, or mpirun's daemon was killed there.

    Without `ended`: the run has no files on the node.
    """

    folder: str
    node: str
    slave: str = ""
    ended: Ended | None = None
    words: str = ""

    def outcome(self, allocation: Allocation) -> Outcome:
        if self.ended is None:
            reason = f"the node {self.node} has lost what it had of the run: was it started anew?"
            return Outcome(137, reason, "lost")
        code = self.ended.code
        return Outcome(code or 1, self._reason(allocation, self.ended.result, code), "lost")

    def _reason(self, allocation: Allocation, result: str, code: int) -> str:
        words = f": {self.words}" if self.words else ""
        hostname = f"{allocation.app}-slave{self.slave}"
        where = allocation.places().get(hostname, hostname)
        if result == _DAEMON:
            return f"the MPI daemon on {where} {in_words(code)}"
        if result == _SILENT:
            return f"the slave {where} was lost{words}"
        return f"the slave {where} {lost_in_words(code)}{words}"


def look(link: Link, node: str, folders: Sequence[str]) -> list[NodeFinding]:
    """Return the node's findings on the runs in `folders` there. Raise UnitError when it does not answer."""
    return findings(node, link.ask(script("look", *folders), within=_ANSWERS_WITHIN))


def findings(node: str, said: str) -> list[NodeFinding]:
    """Parse the output of `look`. A slave's words can contain other line ends known to splitlines()."""
    return [_finding(node, line.split(" ", 5)) for line in said.split("\n") if line]


def _finding(node: str, words: list[str]) -> NodeFinding:
    if len(words) == 1:
        return NodeFinding(words[0], node)
    folder, slave, *how, last = words
    return NodeFinding(folder, node, slave, Ended(how[0], how[1], how[2]), last)


@dataclass
class _Watched:
    """A run on a node. `there` is true once its files were seen there."""

    run: Path
    allocation: Allocation
    there: bool


class Watcher:
    """The watcher of a daemon, with a thread and a connection for each node that has runs.

    `lost` is called with the folder and outcome of each run that can no longer succeed, `away` with each node
    that has not answered for `patience` seconds. Both can be called several times for the same event.
    """

    def __init__(
        self,
        links: Links,
        nodes: Callable[[], Sequence[Node]],
        patience: float,
        lost: Callable[[Path, Outcome], None],
        away: Callable[[Node], None],
    ) -> None:
        self._links = links
        self._nodes = nodes
        self._patience = patience
        self._lost = lost
        self._away = away
        self._watched: dict[str, dict[str, _Watched]] = {}
        self._lock = threading.Lock()

    def begin(self, run: Path, allocation: Allocation, there: bool) -> None:
        """Watch a run. `there` says whether its files are on the nodes already."""
        with self._lock:
            for share in allocation.shares:
                if share.node not in self._watched:
                    self._watched[share.node] = {}
                    self._start(share.node)
                self._watched[share.node][allocation.folder] = _Watched(run, allocation, there)

    def end(self, allocation: Allocation) -> None:
        with self._lock:
            for share in allocation.shares:
                self._watched.get(share.node, {}).pop(allocation.folder, None)

    def _start(self, name: str) -> None:
        threading.Thread(target=self._keep, args=(name,), name=f"watch of {name}", daemon=True).start()

    def _keep(self, name: str) -> None:
        """Watch the node. After an unexpected exception a new thread continues."""
        try:
            self._look_after(name)
        except Exception:
            self._start(name)
            raise

    def _look_after(self, name: str) -> None:
        """Poll the node until it has no runs to watch.

        Silence counts from the first poll that fails. One alone gives up no run: this process can have been
        suspended meanwhile.
        """
        begun = time.monotonic()
        silent_since: float | None = None
        link: Link | None = None
        with contextlib.ExitStack() as opened:
            while runs := self._awaited(name):
                asked = time.monotonic()
                if link is None and asked - begun < _SENT_WITHIN and not _any_there(runs):
                    continue
                node = next((node for node in self._nodes() if node.name == name), None)
                if node and (link is None or link.login != node.login):
                    link = opened.enter_context(contextlib.closing(self._links.apart(node)))
                try:
                    if node is None or link is None:
                        raise UnitError(f"the node {name} is gone")
                    self._hear(runs, look(link, name, list(runs)))
                    silent_since = None
                except UnitError:
                    if silent_since is None:
                        silent_since = asked
                    elif time.monotonic() - silent_since > self._patience:
                        self._give_up(name, node, runs)

    def _awaited(self, name: str) -> dict[str, _Watched]:
        """Wait for the poll interval, and return the node's runs."""
        threading.Event().wait(_BETWEEN_LOOKS)
        with self._lock:
            # Under the lock: a later `begin` has to find the entry gone, and start a new thread.
            if not self._watched[name]:
                del self._watched[name]
                return {}
            return dict(self._watched[name])

    def _hear(self, runs: dict[str, _Watched], findings: Sequence[NodeFinding]) -> None:
        gone = {finding.folder for finding in findings if finding.ended is None}
        for finding in findings:
            watched = runs[finding.folder]
            # A run whose files were never seen on the node is not lost: they can still be on their way.
            if finding.ended or watched.there:
                self._tell(watched.run, finding.outcome(watched.allocation))
        for folder in runs.keys() - gone:
            runs[folder].there = True

    def _give_up(self, name: str, node: Node | None, runs: dict[str, _Watched]) -> None:
        reason = f"the node {name} has not answered for {self._patience:.0f} s"
        for watched in runs.values():
            self._tell(watched.run, Outcome(137, reason, "lost"))
        if node:
            self._away(node)

    def _tell(self, run: Path, outcome: Outcome) -> None:
        """Report a lost run. A full disk here is ignored: the next poll reports the run again."""
        with contextlib.suppress(OSError):
            self._lost(run, outcome)


def _any_there(runs: dict[str, _Watched]) -> bool:
    return any(watched.there for watched in runs.values())
