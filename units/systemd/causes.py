"""What mpirun ended over, where that was a slave or a node: it may answer 0 all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from units.errors import UnitError
from units.job import Outcome
from units.systemd.links import Link, Links
from units.systemd.node import Node
from units.systemd.placed import Placed
from units.systemd.watching import Finding, look

# Seconds in which a node has to say what has become of its slaves, and until a silent one is asked again.
_SETTLE_WITHIN, _ASKED_AGAIN = 20.0, 0.5


def befell(
    links: Links, nodes: Sequence[Node], placed: Placed, patience: float, given_up: Callable[[], bool]
) -> Outcome | None:
    """What became of a slave, or of one of the `nodes`; None where all of them are as they were.

    Those that are silent have `patience` seconds to answer.
    """

    def settled(node: Node, link: Link) -> list[Finding]:
        return look(link, node.name, [placed.folder], "settle look", _SETTLE_WITHIN)

    silent, end = list(nodes), time.monotonic() + patience
    while silent and not given_up():
        answers = links.each(silent, settled)
        errors = {name: answer for name, answer in answers.items() if isinstance(answer, UnitError)}
        for found in answers.values():
            if found and not isinstance(found, UnitError):
                return found[0].outcome(placed.app)
        for name, error in errors.items():
            if time.monotonic() >= end:
                return Outcome(137, f"the node {name} does not answer: {error.message}", "lost")
        silent = [node for node in silent if node.name in errors]
        if silent:
            time.sleep(_ASKED_AGAIN)
    return None
