"""One run on nodes, by its folder here: its end, its output, its results.

The record of it is `run.json` once its units are sent, and `exit` once it has ended. No object of this
class has to last: whoever comes next goes on from there, and from what `output` has.
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
# Seconds: one late answer is not to hide how the program ended.
_ANSWERS_AGAIN_WITHIN = 10.0
_HALTS_WITHIN = 20.0


@dataclass(frozen=True)
class NodeRun:
    """`ending` is held by whoever keeps how a run ended."""

    handle: Handle
    tools: Tools
    services: Services
    ending: threading.Lock = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.handle.folder

    @property
    def allocation(self) -> Allocation | None:
        """Where it is; None where nothing was submitted."""
        return Allocation.read(self.folder)

    @property
    def submitted(self) -> Allocation:
        """Where it is; UnitError where nothing was submitted."""
        allocation = self.allocation
        if allocation is None:
            raise UnitError("nothing of the run was submitted")
        return allocation

    @property
    def has_ended(self) -> bool:
        return ending.is_kept(self.folder)

    @property
    def is_sent(self) -> bool:
        """Whether all of its nodes have what they are to have of it."""
        return (self.folder / _SENT).exists()

    def note_sent(self) -> None:
        (self.folder / _SENT).touch()

    def end(self, outcome: Outcome) -> None:
        """Keep how the run ended; the first word counts."""
        with self.ending:
            if self.has_ended or self.allocation is None:
                return
            ending.keep(self.handle, outcome)
        self.services.let_go(self.handle)

    def lose(self, outcome: Outcome) -> None:
        """It cannot come to a good end any more."""
        if self.has_ended:
            return
        try:
            with self.handle.log.open("a") as log:
                log.write(f"{outcome.reason}\n")
        finally:
            self.end(outcome)

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end. A master is followed for as long as it takes, whatever `seconds` says."""
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
        # Where mpirun calls it a success, a silent node has as much time to answer as at any other moment.
        away = self.tools.timing.away
        patience = min(_ANSWERS_AGAIN_WITHIN, away) if ended.code else away
        nodes = self.tools.nodes_of(allocation)
        diagnosis = Diagnosis(self.tools.links, nodes, allocation, patience, lambda: self.has_ended)
        return diagnosis.outcome(ended, str(self.handle.output))

    def answers(self, port: int) -> bool:
        """On the node that its web process is on, where the app's port leads to it from then on."""
        allocation = self.submitted
        nodes = self.tools.nodes_of(allocation)
        node = next((node for node in nodes if node.name == allocation.web), None)
        if node is None or self.has_ended:
            return False
        return lead(self.tools.links.to(node), node.name, allocation.folder, port)

    def bring_home(self, allocation: Allocation) -> None:
        """Fetch what it wrote, and end what has to end for that; the rest is on record to be removed."""
        try:
            if self.is_sent:
                self._halt(allocation)
                present = self.tools.present(allocation)
                results.Results(self.handle, allocation, present, self.tools.links).bring()
        finally:
            self.services.forget(self.handle)
            self.tools.cleanup.record(allocation)

    def _halt(self, allocation: Allocation) -> None:
        """End its processes, and have all they wrote; once. Slaves are there for others."""
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
        """Its processes have ended. Where that cannot be written they are ended once more."""
        with contextlib.suppress(OSError):
            (self.folder / _HALTED).touch()

    def remove(self, allocation: Allocation) -> None:
        """Remove it from its nodes. UnitError names those where it newly fails, and why."""
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
