"""Pending cleanup of nodes: recorded on disk from before the first attempt until it is done.

There is a folder for each node, with a file for each run and each image. Beside these folders is a file for
each run that has a folder in the nodes' shared directory.

A node that does not answer keeps a run's files; once it is back, it is cleaned before anything else is put
on it.
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
    """The pending cleanup of a daemon, safe to use from any thread. It retries every `every` seconds."""

    def __init__(self, folder: Path, links: Links, nodes: Callable[[], Sequence[Node]], every: float) -> None:
        self._folder = folder
        self._links = links
        self._nodes = nodes
        self._every = every
        # Nodes with leftovers count as away until they are cleaned.
        self._away = set(self._pending_nodes())
        # By the name of a node, or of the record of a run's shared folder.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Whether the last attempt at shared folders failed: the caller that ends a run then skips them.
        self._stuck = False
        self._due = threading.Event()

    def reserve(self, allocation: Allocation) -> None:
        """Preallocate the run's records, so that they can be written when the disk is full at its end."""
        for record, _ in self._pending(allocation):
            durable.keep_room(record)

    def record(self, allocation: Allocation) -> None:
        """Record all that a run has on its nodes, for removal."""
        for record, words in self._pending(allocation):
            _write(record, words)

    def record_image(self, node: Node, image: str) -> None:
        """Record an image that no release uses any more, for removal from the node."""
        record = self._folder / node.name / f"{image.rpartition(':')[2]}.image"
        _write(record, (node.runtime, "rmi", image))

    def _pending(self, allocation: Allocation) -> Iterator[tuple[Path, Sequence[object]]]:
        """Yield the paths of a run's records with their contents."""
        labels = " ".join(f"--filter label={label}" for label in allocation.labels)
        for share in allocation.shares:
            own = allocation.shared if allocation.sharer is None else ""
            words = (share.runtime, allocation.folder, own, labels, *share.units)
            yield self._folder / share.node / _name(allocation), words
        if allocation.sharer is not None:
            yield self._folder / _name(allocation), (allocation.shared, allocation.sharer, allocation.master)

    def pending_on(self, allocation: Allocation) -> list[Node]:
        """Return the nodes that answer and still have files from an earlier submit of the same run."""
        present = [node for node in self._nodes() if node.name not in self._away]
        return [node for node in present if (self._folder / node.name / _name(allocation)).exists()]

    def keep_shared(self, allocation: Allocation) -> None:
        """Cancel the removal of the run's shared folder, because it is about to be used again."""
        with self._locks[_name(allocation)]:
            (self._folder / _name(allocation)).unlink(missing_ok=True)

    def run_now(self, names: Sequence[str]) -> dict[str, UnitError]:
        """Clean these nodes now, except those known to be away. The background thread retries the rest.

        Return newly failed nodes with the reason.
        """
        present = [node for node in self._nodes() if node.name in names and node.name not in self._away]
        answers = self._links.each(present, self.clear)
        if not self._stuck:
            self._clear_shared(present)
        self._due.set()
        return {name: answer for name, answer in answers.items() if isinstance(answer, UnitError)}

    def run_soon(self) -> None:
        """Wake the background thread, which cleans all nodes that have pending cleanup."""
        self._due.set()

    def clear(self, node: Node, link: Link) -> None:
        """Remove all that is pending on the node. Raise UnitError when it is silent or a removal fails."""
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
        """Remove pending folders in the shared directory, through nodes that are not away."""
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
        """Remove a run's shared folder once no node has anything of the run, so nothing writes there.

        The node that created it is preferred, as the others can have lost the mount; else any node is used.
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
        """Note that the node does not answer. From now on only the background thread tries it."""
        self._away.add(node.name)

    def away(self) -> frozenset[str]:
        """Return the names of the nodes that are silent, or whose last cleanup failed."""
        return frozenset(self._away)

    def begin(self) -> None:
        """Start the background thread, which retries until this process ends."""
        threading.Thread(target=self._keep, name="debts", daemon=True).start()

    def _keep(self) -> None:
        while True:
            try:
                self._try_again()
            except OSError:
                pass  # a record that cannot be read or removed now is retried as well
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
        """Return a node's records, runs before images: a run's containers can still use an image."""
        runs, images = (self._folder.glob(f"{node}/*.{kind}") for kind in ("json", "image"))
        return [*sorted(runs), *sorted(images)]

    def _forget(self, name: str) -> None:
        """Drop the records of a node that was removed from the book."""
        self._away.discard(name)
        for record in self._records(name):
            record.unlink(missing_ok=True)


def _remove(link: Link, record: Path) -> None:
    """Remove what the record lists, then the record. An image that a container still uses stays."""
    words = json.loads(record.read_text())
    if record.suffix == ".image":
        link.run(words, within=_REMOVE_WITHIN)
    else:
        link.ask(script("remove", *words), within=_REMOVE_WITHIN)
    record.unlink()


def _name(allocation: Allocation) -> str:
    """Return the file name of a run's record."""
    return f"{allocation.app}.{allocation.run}.json"


def _write(path: Path, words: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write(path, json.dumps(words))
