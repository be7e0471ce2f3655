"""What a node does and answers when a service's port is to lead to it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from units.errors import UnitError
from units.node_runs.processes import lead
from units.nodes import scripts
from units.nodes.link import Done, Link


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


def test_who_leads_a_port_waits_for_others_that_change_the_packet_filter(tmp_path: Path) -> None:
    bin_, run = tmp_path / "bin", tmp_path / "run"
    (run / "announced" / "web").mkdir(parents=True)
    bin_.mkdir()
    for program in ("iptables", "iptables-restore"):
        (bin_ / program).write_text(f'#!/bin/sh\necho "${{0##*/}} $1" >>{tmp_path}/asked\n')
        (bin_ / program).chmod(0o755)
    (run / "announced" / "web" / "check").touch()
    (run / "way").write_text("NAP-8080 10.0.0.11 8080 22000 web\n")
    (run / "lead").write_text(scripts.texts("lead")["lead"])
    subprocess.run(("sh", run / "lead", "first"), env={"PATH": f"{bin_}:/usr/bin:/bin"}, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert set(asked) == {"iptables-restore --wait", "iptables --wait"}
