"""The life of a unit of kind `process`: its client stays attached, because its output is the run's."""

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

# Seconds that a replaced service has to finish its open connections.
_DRAIN = 4.0


class ForegroundLife(Life):
    """The life of a process. It begins again, with a new container, when a service's process has crashed."""

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
        """Make the container, after removing that of the unit's previous start."""
        if self.is_made:
            container.remove(self.context.runtime, self.unit.place)
        self.reset()
        return self.make()

    def _tell(self, code: int, seen: Seen | None) -> None:
        """Report the end. `code` is the client's: the container's, unless the client failed or was killed."""
        if seen and seen.ran:
            self.tell_up()  # a short program can end before `_watch_over` sees it
        if code < 0:
            self.end(128 - code, "")
        elif seen and not seen.ran:
            self.end(code, "")
        else:
            self.tell_end(seen)

    def _watch_over(self, client: subprocess.Popen[bytes]) -> None:
        """Watch the container from when it runs, and probe its port if it has one."""
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
        """Wait for the container to run and return it; None when its client ended before that."""
        pause = SOON
        while not _ends_within(client, pause):
            pause = min(pause * 2, LATER)
            seen = self.look()
            if seen and seen.pid:
                return seen
        return None

    def _lead_to(self, way: tuple[str, int]) -> bool:
        """Forward the app's port to this container from now on. Always return True."""
        folder = self.context.folder
        if self._front is None:
            self._front = PortHandover(self.context.spec["port"], folder.parent / "front.sock", way)
            (folder / "answers").touch()
        self._front.target = way
        return True

    def terminate(self) -> None:
        """End the process in the background. A replaced service first finishes its open connections."""
        threading.Thread(target=self._drain_and_end, daemon=True).start()

    def _drain_and_end(self) -> None:
        """Send SIGTERM by the runtime's `kill`: Docker's client would end at once without passing it on."""
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
