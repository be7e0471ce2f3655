"""One run on nodes, by its folder here: its end, its output, its results.

Its record is `run.json` from before its units are sent, and `exit` once it has ended. No state lives in these
objects: the next receiver continues from these files and from the size of `output`.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from units import ending
from units.errors import UnitError
from units.job import Handle, Outcome, UnitState
from units.node_runs import results, states, tail
from units.node_runs.diagnosis import Diagnosis
from units.node_runs.processes import lead
from units.node_runs.services import Services
from units.node_runs.tail import Followed, Whole
from units.node_runs.tools import Tools
from units.nodes.allocation import Allocation

_SENT, _HALTED = "sent", "halted"
# Seconds: a node that is late once is asked again for this long, so that the program's own end is reported.
_ANSWERS_AGAIN_WITHIN = 10.0
_HALTS_WITHIN = 20.0


@dataclass(frozen=True)
class NodeRun:
    """A run on nodes. `ending` is the lock for recording how a run ended."""

    handle: Handle
    tools: Tools
    services: Services
    ending: threading.Lock = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.handle.folder

    @property
    def allocation(self) -> Allocation | None:
        """The run's allocation; None when nothing was submitted."""
        return Allocation.read(self.folder)

    @property
    def submitted(self) -> Allocation:
        """The run's allocation. Raises UnitError when nothing was submitted."""
        allocation = self.allocation
        if allocation is None:
            raise UnitError("nothing of the run was submitted")
        return allocation

    @property
    def has_ended(self) -> bool:
        return ending.is_kept(self.folder)

    @property
    def is_sent(self) -> bool:
        """Whether all of its nodes have received its files."""
        return (self.folder / _SENT).exists()

    def note_sent(self) -> None:
        (self.folder / _SENT).touch()

    def end(self, outcome: Outcome) -> None:
        """Record how the run ended. Only the first call for a run counts."""
        with self.ending:
            if self.has_ended or self.allocation is None:
                return
            ending.keep(self.handle, outcome)
        self.services.let_go(self.handle)

    def lose(self, outcome: Outcome) -> None:
        """Log the reason and end the run, which can no longer succeed."""
        if self.has_ended:
            return
        try:
            with self.handle.log.open("a") as log:
                log.write(f"{outcome.reason}\n")
        finally:
            self.end(outcome)

    def wait(self, seconds: float | None) -> bool:
        """Wait for the run's end, and return whether it has ended.

        `seconds` only limits the wait for a run of processes: a master is always followed to its end.
        """
        allocation = self.submitted
        if self.has_ended:
            return True
        if not allocation.has_ranks:
            return self.services.wait(self.handle, seconds)
        link = self.tools.link(allocation.master)
        master = Followed(link, allocation.folder, allocation.master_unit, Whole(self.handle.output))
        ended = tail.follow(master, lambda: self.has_ended)
        if ended:
            self._note_halted()
            self.end(self._diagnosed(allocation, ended))
        return True

    def _diagnosed(self, allocation: Allocation, ended: tail.Ended) -> Outcome:
        # If mpirun reports success, a silent node gets the full timeout before the run is called lost.
        away = self.tools.timing.away
        patience = min(_ANSWERS_AGAIN_WITHIN, away) if ended.code else away
        nodes = self.tools.nodes_of(allocation)
        diagnosis = Diagnosis(self.tools.links, nodes, allocation, patience, lambda: self.has_ended)
        return diagnosis.outcome(ended, str(self.handle.output))

    def answers(self, port: int) -> bool:
        """Return whether the web process answers. If so, `port` on its node is redirected to it."""
        allocation = self.submitted
        nodes = self.tools.nodes_of(allocation)
        node = next((node for node in nodes if node.name == allocation.web), None)
        if node is None or self.has_ended:
            return False
        return lead(self.tools.links.to(node), node.name, allocation.folder, port)

    def bring_home(self, allocation: Allocation) -> None:
        """Stop the program and fetch its results. All that is left on nodes is recorded for removal."""
        try:
            if self.is_sent:
                self._halt(allocation)
                present = self.tools.present(allocation)
                results.Results(self.handle, allocation, present, self.tools.links).bring()
        finally:
            self.services.forget(self.handle)
            self.tools.cleanup.record(allocation)

    def _halt(self, allocation: Allocation) -> None:
        """Stop the master, or the processes and fetch the rest of their output; once.

        Slaves stay up, because results are copied from their containers.
        """
        if (self.folder / _HALTED).exists():
            return
        present = self.tools.present(allocation)
        if allocation.has_ranks:
            stop = ("systemctl", "stop", allocation.master_unit)
            masters = [node for node in present if node.name == allocation.master]
            self.tools.links.each(masters, lambda _, link: link.run(stop, within=_HALTS_WITHIN))
        else:
            self.services.halt(self.handle, allocation, present, self.tools.links)
        self._note_halted()

    def _note_halted(self) -> None:
        """Note that its processes have ended. If that cannot be written, they are stopped again later."""
        with contextlib.suppress(OSError):
            (self.folder / _HALTED).touch()

    def remove(self, allocation: Allocation) -> None:
        """Remove the run from its nodes. Raise UnitError with the newly failed nodes and the reasons."""
        self.tools.cleanup.record(allocation)
        left = self.tools.cleanup.run_now([share.node for share in allocation.shares])
        if left:
            raise UnitError("; ".join(f"on {name}: {why.message}" for name, why in left.items()))

    def states(self) -> tuple[UnitState, ...]:
        allocation = self.allocation
        if allocation is None:
            return ()
        return states.states(allocation, self.tools.nodes_of(allocation), self.tools.links)

    def results(self, outcome: Outcome) -> tuple[Path, ...]:
        return results.keep(self.handle, self.allocation, outcome)
