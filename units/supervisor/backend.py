"""What the units of a run stand on: processes of a capsule, or containers."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from units.supervisor.unit import Unit


class Change(NamedTuple):
    """What happened to a unit: it is `up` (started), `ready` (it can be used), or has `ended`.

    `value` is what is to stand in etcd for one that is ready; `code` and `reason` tell an end. On a slave
    a `daemon` of mpirun's has started, or has ended: see `Daemons.note` for its `value`.
    """

    unit: Unit
    kind: str
    value: str = ""
    code: int = 0
    reason: str = ""


class Streams(NamedTuple):
    """Descriptors: what the program writes, and what the units themselves say."""

    output: int
    log: int


class Changes:
    """Changes on their way to the runner; any thread may add. `wakes` can be read when there are some."""

    def __init__(self) -> None:
        self.wakes, self.writable = os.pipe()
        os.set_blocking(self.wakes, False)
        os.set_blocking(self.writable, False)
        self._waiting: deque[Change] = deque()

    def add(self, *changes: Change) -> None:
        self._waiting.extend(changes)
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self.writable, b"+")

    def take(self) -> Iterator[Change]:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wakes, 1 << 16)
        while self._waiting:
            yield self._waiting.popleft()


class Backend(Protocol):
    """Used by the runner alone, in this order."""

    wakes: int
    """A descriptor to wait on: when it can be read, `changes` may have something."""
    over_ssh: bool
    """Whether it is ssh that answers for mpirun's daemons."""

    def arrange(self, units: list[Unit]) -> None:
        """Before the first unit is started; OSError or UnitError when that cannot be."""

    def start(self, unit: Unit) -> None:
        """OSError when it cannot be started at all; how it goes on, `changes` will tell."""

    def changes(self) -> Iterator[Change]:
        """What happened since this was asked before."""

    def alive(self) -> list[str]:
        """The keys of the units that were seen alive since this was asked before."""

    def is_ending(self, unit: Unit) -> bool:
        """Whether its end has begun, though it was not told yet."""

    def answers(self, unit: Unit) -> bool:
        """Whether a slave that ssh had no answer from answers now."""

    def terminate(self, unit: Unit) -> None:
        """Ask a unit that is no slave to end."""

    def end_slave(self, unit: Unit, status: int) -> None:
        """Its first process has ended: so does the rest of it, and who waits for it hears `status`."""

    def remark(self) -> str:
        """What is known of why a program failed, beyond its exit code; else empty."""

    def end(self) -> None:
        """What the run wrote is in its folder; OSError or UnitError when some of it is not.

        Whoever waits for the run is told of its end right after this.
        """

    def clean_up(self) -> None:
        """Nothing of the run is left but its files; OSError or UnitError when something is."""
