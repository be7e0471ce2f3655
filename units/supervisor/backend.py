"""The interface between the runner and its backend: processes of a capsule, or containers."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from units.supervisor.unit import Unit


class Change(NamedTuple):
    """A unit's change of state: `up` (started), `ready` (usable) or `ended`.

    `value` is the etcd value of a `ready` unit; `code` and `reason` belong to `ended`. `daemon`: one of
    mpirun's daemons has started or ended on a slave; see `Daemons.note` for its `value`.
    """

    unit: Unit
    kind: str
    value: str = ""
    code: int = 0
    reason: str = ""


class Streams(NamedTuple):
    """Descriptors for the program's output and for the log of the units themselves."""

    output: int
    log: int


class Changes:
    """A queue of changes for the runner. Any thread can add; `wakes` is readable while changes wait."""

    def __init__(self) -> None:
        self.wakes, self.writable = os.pipe()
        os.set_blocking(self.wakes, False)
        os.set_blocking(self.writable, False)
        self._waiting: deque[Change] = deque()

    def add(self, *changes: Change) -> None:
        self._waiting.extend(changes)
        with contextlib.suppress(BlockingIOError):  # a full pipe is readable, so it wakes the runner as well
            os.write(self.writable, b"+")

    def take(self) -> Iterator[Change]:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wakes, 1 << 16)
        while self._waiting:
            yield self._waiting.popleft()


class Backend(Protocol):
    """What the runner needs of a backend. Only the runner calls these methods, in this order."""

    wakes: int
    """A descriptor to poll: when it is readable, `changes` can have new items."""
    over_ssh: bool
    """Whether mpirun's daemons are started over ssh, so that their exit codes are ssh's."""

    def arrange(self, units: list[Unit]) -> None:
        """Prepare the run before its first unit starts. Raise OSError or UnitError when that fails."""

    def start(self, unit: Unit) -> None:
        """Start a unit. Raise OSError when it cannot be started; `changes` reports everything later."""

    def changes(self) -> Iterator[Change]:
        """Yield the changes since the previous call."""

    def alive(self) -> list[str]:
        """Return the keys of the units that were seen alive since the previous call."""

    def is_ending(self, unit: Unit) -> bool:
        """Return whether the unit has begun to end, although `changes` has not reported it yet."""

    def answers(self, unit: Unit) -> bool:
        """Return whether a slave that ssh could not reach answers now."""

    def terminate(self, unit: Unit) -> None:
        """Ask a unit other than a slave to end."""

    def end_slave(self, unit: Unit, status: int) -> None:
        """End the rest of a slave whose first process has ended. Agents waiting for it get `status`."""

    def remark(self) -> str:
        """Return the known reason of a program's failure beyond its exit code, or an empty string."""

    def end(self) -> None:
        """Bring everything the run wrote into its folder. Raise OSError or UnitError when some is missing.

        The runner releases the run's lock right after this, so callers that wait for the run continue.
        """

    def clean_up(self) -> None:
        """Remove all of the run but its files. Raise OSError or UnitError when something is left."""
