"""The life of a unit's container from start to end, watched by a thread of its own."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from units.containers import network
from units.errors import UnitError
from units.oci import container
from units.oci.container import Memory, Seen
from units.oci.runtime import SECONDS, Runtime, last_line
from units.supervisor import record
from units.supervisor.backend import Change, Changes, Streams
from units.supervisor.unit import Unit

# Seconds between two polls: the first and the longest pause before a unit answers, and the pause after that.
SOON, LATER, BEAT = 0.01, 0.5, 4.0
_UNABLE = 125  # the exit code of both clients when the client itself fails


@dataclass(frozen=True)
class RunContext:
    """What the lives of one run share. `spec` is the content of `run.json`, `changes` go to the runner."""

    runtime: Runtime
    folder: Path
    spec: dict[str, Any]
    streams: Streams
    changes: Changes


class Life:
    """The life of one unit. `begin` returns at once; the runner receives what happens as changes."""

    def __init__(self, unit: Unit, context: RunContext) -> None:
        self.unit = unit
        self.context = context
        self.is_made = False
        self.is_begun = False
        self.is_over = False
        self._answered = threading.Event()
        self._answered.set()
        self._was_up = False
        self._was_seen = False
        self._watch: int | None = None
        self._memory: Memory | None = None

    def begin(self) -> None:
        self.is_begun = True
        self._answered.clear()
        threading.Thread(target=self._guarded, args=(self.live,), name=self.unit.name, daemon=True).start()

    def live(self) -> None:
        """Run the unit from start to end, on the life's own thread."""
        raise NotImplementedError

    def _guarded(self, steps: Callable[[], None]) -> None:
        """Run a thread's steps. When they fail, the unit ends with 125."""
        try:
            steps()
        except (OSError, UnitError) as error:
            self.end(_UNABLE, f"{self.unit.name}: {error}")

    def make(self) -> subprocess.CompletedProcess[str]:
        """Make the container: a slave's is started, others are only created. Return the client's result.

        If another run has just removed the network, make the network again and retry once.
        """
        self.is_begun = True
        runtime = self.context.runtime
        made = runtime.run(*self.unit.argv)
        if made.returncode and network.is_missed(made.stderr):
            network.have(runtime, self.context.spec)
            container.remove(runtime, self.unit.place)
            made = runtime.run(*self.unit.argv)
        self.is_made = made.returncode == 0
        return made

    def have(self) -> subprocess.CompletedProcess[str]:
        """Make the container and release `await_answer`. Return the client's result."""
        try:
            return self._made()
        finally:
            self._answered.set()

    def _made(self) -> subprocess.CompletedProcess[str]:
        return self.make()

    def await_answer(self) -> None:
        """Wait until the runtime has made the container or failed to, 120 s at most."""
        self._answered.wait(SECONDS)

    def look(self) -> Seen | None:
        return container.look(self.context.runtime, self.unit.place)

    def rise(self, seen: Seen) -> int | None:
        """Note that the container has started. Return a descriptor, readable once it has ended.

        Return None when it has ended already.
        """
        self._memory = container.memory_of(seen.pid) or self._memory
        record.note_unit(self.unit.name, seen.pid)
        self.tell_up()
        before, self._watch = self._watch, container.open_process(seen.pid)
        if before is not None:
            os.close(before)
        return self._watch

    def tell_up(self) -> None:
        """Report the unit as up, once per start."""
        if not self._was_up:
            self._was_up = True
            self.context.changes.add(Change(self.unit, "up"))

    def reset(self) -> None:
        """Prepare for another start."""
        self._was_up = False

    def attend(self, watch: int, value: str, answers: Callable[[], bool]) -> None:
        """Poll `answers` until the process behind `watch` ends. Report once that the unit is ready.

        `value` is the value for etcd. Each success counts as a heartbeat: see `take_seen`.
        """
        pause, ready = SOON, False
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        while not poll.poll(pause * 1000):
            if not answers():
                pause = min(pause * 2, LATER)
                continue
            if not ready:
                self.context.changes.add(Change(self.unit, "ready", value))
            self._was_seen = True
            pause, ready = BEAT, True

    def way_to(self, seen: Seen, port: int) -> tuple[str, int]:
        """Return the address and port at which this process reaches a port of the container."""
        if port in seen.forwarded:
            return "127.0.0.1", seen.forwarded[port]
        return seen.address or "127.0.0.1", port

    def take_seen(self) -> bool:
        """Return whether the unit was seen alive since the previous call."""
        was, self._was_seen = self._was_seen, False
        return was

    def answers(self) -> bool:
        """Return whether the unit is still usable."""
        return True

    @property
    def is_ending(self) -> bool:
        return self._watch is not None and bool(select.select([self._watch], [], [], 0)[0])

    @property
    def lost_memory(self) -> bool:
        """Whether the kernel killed a process of the container because its memory was used up."""
        return self._memory is not None and self._memory.kills() > 0

    def out_of_memory(self) -> str:
        limit = self.context.spec["memory"].get(self.unit.hostname)
        of = f"of the {limit >> 20} MB it may use (memory: in mpi.xml)" if limit else "there was"
        return f"{self.unit.hostname} ran out of memory: it used all {of}, and a process of it was killed"

    def not_made(self, made: subprocess.CompletedProcess[str]) -> None:
        """End the unit because its container could not be made."""
        place, said = self.unit.place, made.stderr
        if "already in use" in said or "is in use" in said:
            by_hand = f"remove it: {self.context.runtime.kind} rm {place}"
            self.end(made.returncode, f"there is a container {place} that is not nap's; {by_hand}")
        else:
            self.end(made.returncode, f"{place} did not start: {last_line(said)}")

    def tell_end(self, seen: Seen | None, why: str = "") -> None:
        """Report the unit's end. `seen` is the ended container, None if removed; `why` is the reason."""
        if seen is None:
            self.end(_UNABLE, why or f"the container {self.unit.place} was removed by hand")
        elif seen.out_of_memory or self.lost_memory:
            self.end(seen.exit_code or 137, self.out_of_memory())
        else:
            self.end(seen.exit_code, why)

    def end(self, code: int, reason: str) -> None:
        self.context.changes.add(Change(self.unit, "ended", code=code, reason=reason))

    def terminate(self) -> None:
        """Ask the unit to end. A slave ends with the run."""

    def close(self) -> None:
        """Note that the run is over: nap ends the container itself now, so a slave's end is not reported."""
        self.is_over = True
