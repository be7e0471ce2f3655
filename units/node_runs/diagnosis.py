"""Find the lost slave, MPI daemon or node that ended mpirun, which can exit with 0 in spite of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from units.errors import UnitError
from units.job import Outcome
from units.node_runs.tail import Ended
from units.node_runs.watcher import findings
from units.nodes.allocation import Allocation
from units.nodes.link import Link, Links
from units.nodes.node import Node
from units.nodes.scripts import script
from units.supervisor.daemons import Daemons
from units.supervisor.exitcode import killed_rank, mpich_signal

# Seconds: a node's timeout to report how its slaves ended, and the pause before a silent one is asked again.
_SETTLE_WITHIN, _ASKED_AGAIN = 45.0, 0.5
# 128 + SIGKILL
_LOST = 137
# Marks the lines that agents noted about daemons (the script `notes`).
_NOTE = "+ "


@dataclass
class Diagnosis:
    """The diagnosis of a run whose mpirun has ended. Silent nodes are asked again for `patience` seconds."""

    links: Links
    nodes: Sequence[Node]
    allocation: Allocation
    patience: float
    given_up: Callable[[], bool]
    _notes: list[str] = field(default_factory=list)

    def outcome(self, ended: Ended, output: str) -> Outcome:
        """Return how the run ended, from mpirun's end, its messages in the file `output`, and the nodes."""
        outcome = ended.outcome(self.allocation.timeout, self.allocation.master)
        if self.allocation.flavour == "mpich":
            outcome = replace(outcome, exit_code=mpich_signal(outcome.exit_code, output))
        if outcome.state != "ended":
            return outcome
        return self.lost_slave() or self._failed(outcome.exit_code) or self._worded(outcome, output)

    def lost_slave(self) -> Outcome | None:
        """Return the outcome for a lost slave or a silent node, or None when there is neither."""
        silent, end = list(self.nodes), time.monotonic() + self.patience
        while silent and not self.given_up():
            answers = self.links.each(silent, self._ask)
            errors = {name: answer for name, answer in answers.items() if isinstance(answer, UnitError)}
            for found in answers.values():
                if found and not isinstance(found, UnitError):
                    return found
            for name, error in errors.items():
                if time.monotonic() >= end:
                    return Outcome(_LOST, f"the node {name} does not answer: {error.message}", "lost")
            silent = [node for node in silent if node.name in errors]
            if silent:
                time.sleep(_ASKED_AGAIN)
        return None

    def _ask(self, node: Node, link: Link) -> Outcome | None:
        said = link.ask(script("settle look notes", self.allocation.folder), within=_SETTLE_WITHIN)
        lines = said.split("\n")
        self._notes += [line.removeprefix(_NOTE) for line in lines if line.startswith(_NOTE)]
        found = findings(node.name, "\n".join(line for line in lines if not line.startswith(_NOTE)))
        return found[0].outcome(self.allocation) if found else None

    def _failed(self, code: int) -> Outcome | None:
        """Return the outcome of a failed daemon that mpirun's launcher started, or None."""
        daemons = Daemons(self.allocation.places(), over_ssh=True)
        daemons.read("\n".join(self._notes))
        finding = daemons.finding(strict=code == 0 and not self.allocation.script)
        return Outcome(code or _LOST, finding, "lost") if finding else None

    def _worded(self, outcome: Outcome, output: str) -> Outcome:
        reason = outcome.reason or killed_rank(outcome.exit_code, output, self.allocation.places())
        return replace(outcome, reason=reason)
