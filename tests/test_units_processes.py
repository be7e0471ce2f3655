"""What a node answers when a service's port is to lead to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from units.errors import UnitError
from units.systemd.links import Done, Link
from units.systemd.processes import lead


@dataclass
class Answering:
    """A link to a node that says always the same; None for none."""

    done: Done | None

    def run(self, *_: object, **__: object) -> Done:
        if self.done is None:
            raise UnitError("it does not answer")
        return self.done


def led(done: Done | None) -> bool:
    return lead(cast(Link, Answering(done)), "node1", "/var/lib/nap/x", 8080)


@pytest.mark.parametrize(
    ("done", "leads"), [(Done(0, b"", ""), True), (Done(3, b"", ""), False), (None, False)]
)
def test_a_port_leads_to_who_answers(done: Done | None, leads: bool) -> None:
    assert led(done) == leads


def test_a_node_that_cannot_lead_a_port_is_named_with_its_words() -> None:
    with pytest.raises(UnitError) as told:
        led(Done(1, b"", "lead: 32: iptables-restore: not found\n"))
    sentence = "the node node1 cannot open port 8080: lead: 32: iptables-restore: not found"
    assert told.value.message == sentence
    assert told.value.hint.endswith("apt-get install iptables")
