"""What is to be removed from nodes: on record here from before the first try until it is done.

A folder a node, with a file for each run and each image; beside these folders a file for each run that has
something in the directory that is the same on all nodes.

A node that does not answer keeps what a run has there; when it is back it is cleaned before anything else
is put on it.
"""

from __future__ import annotations

import json
import random
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from units import durable
from units.errors import UnitError
from units.nodes import shared_folder
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.scripts import script

_REMOVE_WITHIN, _ANSWERS_WITHIN = 60.0, 5.0


class NodeCleanup:
    """One a daemon; any thread may use it."""

    def __init__(self, folder: Path, links: Links, nodes: Callable[[], Sequence[Node]], every: float) -> None:
        self._folder = folder
        self._links = links
        self._nodes = nodes
        self._every = every
        self._away = set(self._pending_nodes())
        # By the name of a node, or of a record of what nodes have in common.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Whether that could not be cleared when it was tried last: who ends a run does not wait for it then.
        self._stuck = False
        self._due = threading.Event()

    def reserve(self, allocation: Allocation) -> None:
        """Keep room for what is to be owed once the run is over."""
        for record, _ in self._pending(allocation):
            durable.keep_room(record)

    def record(self, allocation: Allocation) -> None:
        """All that a run has on its nodes."""
        for record, words in self._pending(allocation):
            _write(record, words)

    def record_image(self, node: Node, image: str) -> None:
        """No release has it any more."""
        record = self._folder / node.name / f"{image.rpartition(':')[2]}.image"
        _write(record, (node.runtime, "rmi", image))

    def _pending(self, allocation: Allocation) -> Iterator[tuple[Path, Sequence[object]]]:
        """The records of it, and what they have."""
        labels = " ".join(f"--filter label={label}" for label in allocation.labels)
        for share in allocation.shares:
            own = allocation.shared if allocation.sharer is None else ""
            words = (share.runtime, allocation.folder, own, labels, *share.units)
            yield self._folder / share.node / _name(allocation), words
        if allocation.sharer is not None:
            yield self._folder / _name(allocation), (allocation.shared, allocation.sharer, allocation.master)

    def pending_on(self, allocation: Allocation) -> list[Node]:
        """The nodes that still have something of the run from before it was sent anew, and answer."""
        present = [node for node in self._nodes() if node.name not in self._away]
        return [node for node in present if (self._folder / node.name / _name(allocation)).exists()]

    def keep_shared(self, allocation: Allocation) -> None:
        """What it has in the directory that is the same on all nodes is not to be removed, for now."""
        with self._locks[_name(allocation)]:
            (self._folder / _name(allocation)).unlink(missing_ok=True)

    def run_now(self, names: Sequence[str]) -> dict[str, UnitError]:
        """Try it at once, where a node is not known to be away; what is left is tried again later.

        The nodes of which it is news that something is left there, and why.
        """
        present = [node for node in self._nodes() if node.name in names and node.name not in self._away]
        answers = self._links.each(present, self.clear)
        if not self._stuck:
            self._clear_shared(present)
        self._due.set()
        return {name: answer for name, answer in answers.items() if isinstance(answer, UnitError)}

    def run_soon(self) -> None:
        """The same, in the background."""
        self._due.set()

    def clear(self, node: Node, link: Link) -> None:
        """Remove all that is to be removed there. UnitError when the node does not answer."""
        with self._locks[node.name]:
            try:
                if node.name in self._away:
                    link.ask(("true",), within=_ANSWERS_WITHIN)
                for record in self._records(node.name):
                    _remove(link, record)
            except UnitError:
                self._away.add(node.name)
                raise
            self._away.discard(node.name)

    def _clear_shared(self, nodes: Iterable[Node]) -> None:
        """Remove what is to be removed from what all nodes have in common."""
        present = [node for node in nodes if node.name not in self._away]
        if not present:
            return
        try:
            for record in self._folder.glob("*.json"):
                self._remove_shared(present, record)
            self._stuck = False
        except UnitError:
            self._stuck = True

    def _remove_shared(self, present: Sequence[Node], record: Path) -> None:
        """Once no node has anything of the run any more, and so nobody writes there.

        By the node that has made it, as the others may have lost the directory; else by any.
        """
        lock = self._locks[record.name]
        if any(self._folder.glob(f"*/{record.name}")) or not lock.acquire(blocking=False):
            return
        try:
            if record.exists():
                folder, owner, maker = json.loads(record.read_text())
                makers = [node for node in present if node.name == maker]
                shared_folder.remove(self._links.to(random.choice(makers or present)), folder, owner)
                record.unlink()
        finally:
            lock.release()

    def mark_away(self, node: Node) -> None:
        """It does not answer: nothing is tried there but now and then."""
        self._away.add(node.name)

    def away(self) -> frozenset[str]:
        """The nodes that did not answer when they were asked last."""
        return frozenset(self._away)

    def begin(self) -> None:
        """Try again, from now on as long as this process lives."""
        threading.Thread(target=self._keep, name="debts", daemon=True).start()

    def _keep(self) -> None:
        while True:
            try:
                self._try_again()
            except OSError:
                pass  # what cannot be read or removed here now is tried again too
            except Exception:
                traceback.print_exc()
            pending_on = self._pending_nodes() or self._away or any(self._folder.glob("*.json"))
            self._due.wait(self._every if pending_on else None)
            self._due.clear()

    def _try_again(self) -> None:
        known = {node.name: node for node in self._nodes()}
        pending_on = set(self._pending_nodes()) | self._away
        for gone in pending_on - known.keys():
            self._forget(gone)
        self._links.each([known[name] for name in sorted(pending_on & known.keys())], self.clear)
        self._clear_shared(known.values())

    def _pending_nodes(self) -> list[str]:
        return [record.parent.name for record in self._records("*")]

    def _records(self, node: str) -> list[Path]:
        """Of a node: first of runs, which may use the images."""
        runs, images = (self._folder.glob(f"{node}/*.{kind}") for kind in ("json", "image"))
        return [*sorted(runs), *sorted(images)]

    def _forget(self, name: str) -> None:
        """The node was removed."""
        self._away.discard(name)
        for record in self._records(name):
            record.unlink(missing_ok=True)


def _remove(link: Link, record: Path) -> None:
    """An image that a container uses stays."""
    words = json.loads(record.read_text())
    if record.suffix == ".image":
        link.run(words, within=_REMOVE_WITHIN)
    else:
        link.ask(script("remove", *words), within=_REMOVE_WITHIN)
    record.unlink()


def _name(allocation: Allocation) -> str:
    """Of a run's record."""
    return f"{allocation.app}.{allocation.run}.json"


def _write(path: Path, words: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, json.dumps(words))
