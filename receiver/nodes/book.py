"""The book of nodes: one file in `$NAP_HOME/nodes` for each machine that was added to a home.

They are files and not rows of the ledger because nodes are added while no receiver runs, and because the
receiver has to read what the command has just written.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from receiver.errors import ReceiverError
from registry.files import write_private
from units.nodes.node import Login, Node
from units.ssh_keys import new_key

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IDENTITY = "id_ed25519"


@dataclass(frozen=True)
class Record:
    """A node, with its /etc/machine-id ("" when it has none) and the time it was added (ISO 8601, UTC)."""

    node: Node
    machine: str
    added: str


def node_name(text: str) -> str:
    """Return `text` when it is a valid node name, a lowercase DNS label. Raise ReceiverError otherwise."""
    if not _LABEL.fullmatch(text):
        hint = "a to z, 0 to 9 and -, not at either end, at most 63 characters: see --name"
        raise ReceiverError(f"{text!r} cannot be a node's name", hint)
    return text


class NodeBook:
    """The nodes of a home. Every change replaces one file, which is on disk when the method returns.

    A reader sees the old file or the new one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def identity(self) -> Path:
        """The file of nap's private ssh key for nodes. The key is made on first use."""
        path = self._folder / _IDENTITY
        if not path.exists():
            with self._alone():
                if not path.exists():
                    self._make_identity(path)
        return path

    @property
    def public_key(self) -> str:
        """The line for authorized_keys that lets nap log in: `TYPE BASE64 COMMENT`."""
        return self.identity.with_suffix(".pub").read_text().strip()

    def _make_identity(self, path: Path) -> None:
        private, public = new_key()
        # The public key goes first: the private key's file is the sign that the pair is complete.
        write_private(path.with_suffix(".pub"), f"{public} nap@{os.uname().nodename}\n".encode())
        write_private(path, private.encode())

    def all(self) -> tuple[Node, ...]:
        """Return all nodes in the natural order of their names: node2 before node10."""
        return tuple(record.node for record in self.records())

    def records(self) -> tuple[Record, ...]:
        found = (_read(path) for path in self._folder.glob("*.json"))
        return tuple(sorted((record for record in found if record), key=lambda it: _in_order(it.node.name)))

    def get(self, name: str) -> Node:
        """Return the node. Raise ReceiverError when there is none of that name."""
        return self.record(name).node

    def record(self, name: str) -> Record:
        record = _read(self._path(name)) if _LABEL.fullmatch(name) else None
        if record is None:
            known = ", ".join(node.name for node in self.all())
            hint = f"the nodes are {known}" if known else "nap nodes add USER@HOST"
            raise ReceiverError(f"there is no node {name}", hint)
        return record

    def add(self, node: Node, machine: str) -> None:
        """Add a node. Raise ReceiverError when the name is taken or the machine is a node already."""
        with self._alone():
            self.check(node.name, machine)
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._write(Record(node, machine, now))

    def check(self, name: str, machine: str) -> None:
        """Raise ReceiverError when there is already a node of that name or of that machine-id."""
        for record in self.records():
            if record.node.name == name:
                hint = f"nap nodes remove {name}, or add it as another one: --name"
                raise ReceiverError(f"there is a node {name} already", hint)
            if machine and record.machine == machine:
                raise ReceiverError(
                    f"{name} is the same machine as {record.node.name}",
                    "a copy of a machine gets an id of its own: rm /etc/machine-id; systemd-machine-id-setup",
                )

    def remove(self, name: str) -> None:
        with self._alone():
            self.record(name)
            self._path(name).unlink()
            self._seen(name).unlink(missing_ok=True)

    def remember(self, name: str) -> None:
        """Note that a node about to be removed still holds files of this home that could not be cleared."""
        with self._alone():
            record = self.record(name)
            self._left.mkdir(mode=0o700, exist_ok=True)
            write_private(self._left_on(record.machine), json.dumps(asdict(record), indent=1).encode())

    def left_on(self, machine: str) -> Node | None:
        """Return the removed node that this machine was, if it still holds files of this home."""
        record = _read(self._left_on(machine))
        return record.node if record else None

    def forget_left(self, machine: str) -> None:
        self._left_on(machine).unlink(missing_ok=True)

    def drain(self, name: str) -> Node:
        """Stop placing new runs on the node, and return it. Runs that are there continue."""
        return self._change(name, drained=True)

    def resume(self, name: str) -> Node:
        return self._change(name, drained=False)

    def _change(self, name: str, drained: bool) -> Node:
        with self._alone():
            record = self.record(name)
            changed = replace(record, node=replace(record.node, drained=drained))
            self._write(changed)
        return changed.node

    def mark_seen(self, names: Iterable[str]) -> None:
        """Note that these nodes answered just now."""
        for name in names:
            if self._path(name).exists():
                self._seen(name).touch(mode=0o600)

    def seen(self, name: str) -> str | None:
        """Return when the node last answered (ISO 8601, UTC), or None when it never did."""
        with suppress(FileNotFoundError):
            when = datetime.fromtimestamp(self._seen(name).stat().st_mtime, timezone.utc)
            return when.isoformat(timespec="seconds")
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the book's lock, also against other processes."""
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, record: Record) -> None:
        write_private(self._path(record.node.name), json.dumps(asdict(record), indent=1).encode())

    @property
    def _left(self) -> Path:
        return self._folder / "left"

    def _left_on(self, machine: str) -> Path:
        return self._left / f"{machine}.json"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _seen(self, name: str) -> Path:
        return self._folder / f"{name}.seen"


def _read(path: Path) -> Record | None:
    """Return the record, or None when there is no file."""
    try:
        return _record(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReceiverError(
            f"{path} cannot be read: {error!r}", "remove it, and add the node again"
        ) from error


def _record(value: dict[str, Any]) -> Record:
    node = value["node"]
    return Record(Node(**{**node, "login": Login(**node["login"])}), value["machine"], value["added"])


def _in_order(name: str) -> list[str | int]:
    """Return a sort key of alternating texts and numbers."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", name))]
