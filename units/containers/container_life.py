"""A unit's container from its start to its end, watched by a thread of its own."""

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

# Seconds between two looks at what does not answer yet, at first and at last; and at what did.
SOON, LATER, BEAT = 0.01, 0.5, 4.0
_UNABLE = 125  # what both clients answer when it was they that failed


@dataclass(frozen=True)
class RunContext:
    """What the lives of one run have in common. `spec` is the run's, `changes` go to its runner."""

    runtime: Runtime
    folder: Path
    spec: dict[str, Any]
    streams: Streams
    changes: Changes


class Life:
    """`begin` returns at once; what becomes of the unit goes to the runner as changes."""

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
        """From start to end."""
        raise NotImplementedError

    def _guarded(self, steps: Callable[[], None]) -> None:
        """A thread that fails ends its unit."""
        try:
            steps()
        except (OSError, UnitError) as error:
            self.end(_UNABLE, f"{self.unit.name}: {error}")

    def make(self) -> subprocess.CompletedProcess[str]:
        """Its container, that of a slave running, others created."""
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
        """What the runtime answered when its container was made, now or before."""
        try:
            return self._made()
        finally:
            self._answered.set()

    def _made(self) -> subprocess.CompletedProcess[str]:
        return self.make()

    def await_answer(self) -> None:
        """Until it is known whether there is a container, where one is being made."""
        self._answered.wait(SECONDS)

    def look(self) -> Seen | None:
        """The container as it is now."""
        return container.look(self.context.runtime, self.unit.place)

    def rise(self, seen: Seen) -> int | None:
        """It was started: a descriptor that can be read when it has ended, None when it has already."""
        self._memory = container.memory_of(seen.pid) or self._memory
        record.note_unit(self.unit.name, seen.pid)
        self.tell_up()
        before, self._watch = self._watch, container.open_process(seen.pid)
        if before is not None:
            os.close(before)
        return self._watch

    def tell_up(self) -> None:
        """Once a start."""
        if not self._was_up:
            self._was_up = True
            self.context.changes.add(Change(self.unit, "up"))

    def reset(self) -> None:
        """It is to be started anew."""
        self._was_up = False

    def attend(self, watch: int, value: str, answers: Callable[[], bool]) -> None:
        """Until the process behind `watch` ends: tell once that it can be used, and note when it is alive."""
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
        """Where this process reaches a port of the container."""
        if port in seen.forwarded:
            return "127.0.0.1", seen.forwarded[port]
        return seen.address or "127.0.0.1", port

    def take_seen(self) -> bool:
        """Whether it was seen alive since this was asked before."""
        was, self._was_seen = self._was_seen, False
        return was

    def answers(self) -> bool:
        """Whether it can still be used."""
        return True

    @property
    def is_ending(self) -> bool:
        return self._watch is not None and bool(select.select([self._watch], [], [], 0)[0])

    @property
    def lost_memory(self) -> bool:
        """Whether the kernel ended a process of it because its memory was used up."""
        return self._memory is not None and self._memory.kills() > 0

    def out_of_memory(self) -> str:
        limit = self.context.spec["memory"].get(self.unit.hostname)
        of = f"of the {limit >> 20} MB it may use (memory: in mpi.xml)" if limit else "there was"
        return f"{self.unit.hostname} ran out of memory: it used all {of}, and a process of it was killed"

    def not_made(self, made: subprocess.CompletedProcess[str]) -> None:
        """Its container could not be made: that is its end."""
        place, said = self.unit.place, made.stderr
        if "already in use" in said or "is in use" in said:
            by_hand = f"remove it: {self.context.runtime.kind} rm {place}"
            self.end(made.returncode, f"there is a container {place} that is not nap's; {by_hand}")
        else:
            self.end(made.returncode, f"{place} did not start: {last_line(said)}")

    def tell_end(self, seen: Seen | None, why: str = "") -> None:
        """`seen` is the container as it has ended, `why` what else is known of it."""
        if seen is None:
            self.end(_UNABLE, why or f"the container {self.unit.place} was removed by hand")
        elif seen.out_of_memory or self.lost_memory:
            self.end(seen.exit_code or 137, self.out_of_memory())
        else:
            self.end(seen.exit_code, why)

    def end(self, code: int, reason: str) -> None:
        self.context.changes.add(Change(self.unit, "ended", code=code, reason=reason))

    def terminate(self) -> None:
        """Ask it to end; a slave is ended with the run."""

    def close(self) -> None:
        """The run is over: what happens to the container from now on is nap's own doing."""
        self.is_over = True
