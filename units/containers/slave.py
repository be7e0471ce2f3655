"""A slave's life: its sshd, watched from outside the container."""

from __future__ import annotations

import time

from units.containers.container_life import SOON, Life
from units.containers.member import announced
from units.oci import container, ssh_access
from units.oci.container import Seen
from units.supervisor.exitcode import in_words, signal_of
from units.supervisor.probe import greets

_GREETING = b"SSH-2.0"
# Pauses in seconds stay below this while a runtime has not noticed an end: some ten seconds in all.
_NOTICED_BEFORE = 6.0


class SlaveLife(Life):
    """The life of a slave. `address` is its sshd's for the run's other containers, None until it is known."""

    address: tuple[str, int] | None = None
    _way: tuple[str, int] | None = None

    def live(self) -> None:
        made = self.have()
        if made.returncode:
            self.not_made(made)
            return
        seen = self.look()
        watch = self.rise(seen) if seen else None
        if seen and watch is not None:
            port = self.context.spec["ports"].get(self.unit.hostname, ssh_access.SSH_PORT)
            self.address = (seen.address or "127.0.0.1", port)
            self._way = self.way_to(seen, port)
            self.attend(watch, announced(self.unit.value, *self.address), self.answers)
        if not self.is_over:
            self._tell_why()

    def answers(self) -> bool:
        return self._way is not None and greets(*self._way, _GREETING)

    def _tell_why(self) -> None:
        """Report the end, with sshd's last line as reason. Exit code 0 means that it was asked to end."""
        seen = self._seen_ended()
        if seen is None:
            self.tell_end(None, f"{self._container} was removed by hand")
        elif seen.exit_code:
            self.tell_end(seen, self._ended_with(seen.exit_code))
        else:
            self.tell_end(seen, f"{self._container} was stopped by hand")

    @property
    def _container(self) -> str:
        return f"{self.unit.hostname}: the container {self.unit.place}"

    def _seen_ended(self) -> Seen | None:
        """Return the container once the runtime has noticed, after a moment, that its process has ended."""
        pause, seen = SOON, self.look()
        while seen and seen.pid and pause < _NOTICED_BEFORE:
            time.sleep(pause)
            pause, seen = pause * 2, self.look()
        return seen

    def _ended_with(self, code: int) -> str:
        ended = f"{self._container} {in_words(code)}"
        if signal_of(code):
            return ended
        said = container.last_words(self.context.runtime, self.unit.place)
        return f"{ended}: {said}" if said else ended
