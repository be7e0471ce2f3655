"""How a slave's end is told, which its process comes to before the runtime knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from units.containers import slave
from units.containers.container_life import RunContext
from units.containers.slave import SlaveLife
from units.oci import container
from units.oci.container import Seen
from units.oci.runtime import Runtime
from units.supervisor.backend import Changes, Streams
from units.supervisor.unit import Unit

RUNS = Seen(pid=7, ran=True, exit_code=0, out_of_memory=False, error="", address="", forwarded={})
FAILED = Seen(pid=0, ran=True, exit_code=5, out_of_memory=False, error="", address="", forwarded={})
ENDED = Seen(pid=0, ran=True, exit_code=0, out_of_memory=False, error="", address="", forwarded={})


@pytest.mark.parametrize(
    ("looks", "code", "reason"),
    [
        ([RUNS, RUNS, FAILED], 5, "lab-slave1: the container lab_slave1 ended with 5: nothing works here"),
        ([FAILED], 5, "lab-slave1: the container lab_slave1 ended with 5: nothing works here"),
        ([RUNS, ENDED], 0, "lab-slave1: the container lab_slave1 was stopped by hand"),
        ([RUNS, None], 125, "lab-slave1: the container lab_slave1 was removed by hand"),
    ],
)
def test_a_slaves_end_is_told_once_its_runtime_has_noticed_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, looks: list[Seen | None], code: int, reason: str
) -> None:
    seen: Iterator[Seen | None] = iter(looks)
    monkeypatch.setattr(container, "look", lambda *_: next(seen))
    monkeypatch.setattr(container, "last_words", lambda *_: "nothing works here")
    monkeypatch.setattr(slave, "SOON", 0.001)
    changes = Changes()
    context = RunContext(cast(Runtime, None), tmp_path, cast(Any, {"memory": {}}), Streams(1, 1), changes)
    unit = Unit("slave", "slaves_lab@1", "lab-slave1", "lab_slave1", ["run"], {})
    SlaveLife(unit, context)._tell_why()
    (told,) = changes.take()
    assert (told.kind, told.code, told.reason) == ("ended", code, reason)
