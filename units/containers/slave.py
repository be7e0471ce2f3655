"""A slave's life: its sshd's, as it is seen from outside."""

from __future__ import annotations

import time

from units.containers import access, container
from units.containers.container import Seen
from units.containers.life import SOON, Life
from units.containers.member import announced
from units.running.answering import greets

_GREETING = b"SSH-2.0"
# Seconds that the last pause may have in which a runtime notices an end: some ten in all.
_NOTICED_BEFORE = 6.0


class SlaveLife(Life):
    """`address` is where the run's other containers find its sshd; None until it is known."""

    address: tuple[str, int] | None = None

    def live(self) -> None:
        made = self.have()
        if made.returncode:
            self.not_made(made)
            return
        seen = self.look()
        watch = self.rise(seen) if seen else None
        if seen and watch is not None:
            port = self.around.spec["ports"].get(self.unit.hostname, access.SSH_PORT)
            self.address = (seen.address or "127.0.0.1", port)
            way = self.way_to(seen, port)
            self.attend(watch, announced(self.unit.value, *self.address), lambda: greets(*way, _GREETING))
        if not self.is_over:
            self._tell_why()

    def _tell_why(self) -> None:
        """A slave's last words are the reason of its end; one that was asked to end, ends with 0."""
        seen = self._seen_ended()
        if seen is None:
            self.tell_end(None)
        elif seen.exit_code:
            self.tell_end(seen, self._ended_with(seen.exit_code))
        else:
            self.tell_end(seen, f"the container {self.unit.place} was stopped by hand")

    def _seen_ended(self) -> Seen | None:
        """The container once the runtime has noticed that its process is gone, which takes it a moment."""
        pause, seen = SOON, self.look()
        while seen and seen.pid and pause < _NOTICED_BEFORE:
            time.sleep(pause)
            pause, seen = pause * 2, self.look()
        return seen

    def _ended_with(self, code: int) -> str:
        said = container.last_words(self.around.runtime, self.unit.place)
        ended = f"the container {self.unit.place} ended with {code}"
        return f"{ended}: {said}" if said else ended
