"""The life of a process: its output is the run's, so its client stays beside it."""

from __future__ import annotations

import subprocess
import threading
from functools import partial

from units.containers.container_life import BEAT, LATER, SOON, Life, RunContext
from units.containers.port_handover import PortHandover
from units.oci import container
from units.oci.container import Seen
from units.supervisor.probe import keeps
from units.supervisor.unit import Unit

# Seconds a service that was replaced has for what it was asked before.
_DRAIN = 4.0


class ForegroundLife(Life):
    """A unit of this kind may have several lives, one after another: a service's that crashed."""

    def __init__(self, unit: Unit, context: RunContext) -> None:
        super().__init__(unit, context)
        self._client: subprocess.Popen[bytes] | None = None
        self._front: PortHandover | None = None

    def live(self) -> None:
        made = self.have()
        if made.returncode:
            self.not_made(made)
            return
        streams = self.context.streams
        errors = streams.output if self.context.spec["own_image"] else streams.log
        self._client = client = self.context.runtime.attach(self.unit.place, streams.output, errors)
        watching = partial(self._watch_over, client)
        watcher = threading.Thread(target=self._guarded, args=(watching,), daemon=True)
        watcher.start()
        code = client.wait()
        watcher.join(BEAT)
        if code == 0:
            self.tell_up()
            self.end(0, "")
        else:
            self._tell(code, self.look())

    def _made(self) -> subprocess.CompletedProcess[str]:
        """Its container, where an older one of the unit is not in the way."""
        if self.is_made:
            container.remove(self.context.runtime, self.unit.place)
        self.reset()
        return self.make()

    def _tell(self, code: int, seen: Seen | None) -> None:
        """`code` is the client's: its container's, unless it was the client that failed or was killed."""
        if seen and seen.ran:
            self.tell_up()  # a short program has ended before it was seen
        if code < 0:
            self.end(128 - code, "")
        elif seen and not seen.ran:
            self.end(code, "")
        else:
            self.tell_end(seen)

    def _watch_over(self, client: subprocess.Popen[bytes]) -> None:
        """From when it runs: what it answers, where something is asked of it."""
        seen = self._running(client)
        watch = self.rise(seen) if seen else None
        if seen is None or watch is None:
            return
        if self.unit.port is None:
            self.attend(watch, self.unit.value, lambda: True)
        else:
            way = self.way_to(seen, self.unit.port)
            self.attend(watch, self.unit.value, lambda: keeps(*way) and self._lead_to(way))

    def _running(self, client: subprocess.Popen[bytes]) -> Seen | None:
        """The container once it runs; None when its client ended before that."""
        pause = SOON
        while not _ends_within(client, pause):
            pause = min(pause * 2, LATER)
            seen = self.look()
            if seen and seen.pid:
                return seen
        return None

    def _lead_to(self, way: tuple[str, int]) -> bool:
        """The app's port leads to this container from now on."""
        folder = self.context.folder
        if self._front is None:
            self._front = PortHandover(self.context.spec["port"], folder.parent / "front.sock", way)
            (folder / "answers").touch()
        self._front.target = way
        return True

    def terminate(self) -> None:
        """A service first finishes what it was asked."""
        threading.Thread(target=self._drain_and_end, daemon=True).start()

    def _drain_and_end(self) -> None:
        """Not by way of its client: Docker's ends at once, hands no signal on, and says nothing more."""
        if self._front:
            self._front.drain(_DRAIN)
        told = self.context.runtime.run("kill", "--signal", "TERM", self.unit.place)
        if told.returncode and self._client:
            self._client.terminate()

    def close(self) -> None:
        super().close()
        if self._front:
            self._front.close()


def _ends_within(client: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        client.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
