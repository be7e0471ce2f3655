"""The master's life: a process in the first slave's container, with its client attached."""

from __future__ import annotations

import subprocess

from units.containers.container_life import Life
from units.oci.ssh_access import END_MASTER


class MasterLife(Life):
    """The life of mpirun. Its container is the first slave's, which watches and removes it."""

    _client: subprocess.Popen[bytes] | None = None

    def live(self) -> None:
        self._answered.set()
        log = self.context.streams.log
        self._client = client = self.context.runtime.begin(*self.unit.argv, output=log, errors=log)
        self.tell_up()
        code = client.wait()
        self.end(code if code >= 0 else 128 - code, "")

    def terminate(self) -> None:
        """Ask the master to end. If that fails, end its client; the rest ends with the slaves."""
        told = self.context.runtime.run("exec", self.unit.place, *END_MASTER)
        if told.returncode and self._client:
            self._client.terminate()
