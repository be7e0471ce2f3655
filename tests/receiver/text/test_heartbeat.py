"""Silent work shows a line at 10 s, then at doubling intervals."""

from __future__ import annotations

import threading

import pytest

from receiver.text import heartbeat
from receiver.text.heartbeat import Silence, told


def test_lines_come_at_doubling_intervals_until_there_is_something_to_hear() -> None:
    now = [100.0]
    said: list[str] = []
    silence = Silence(said.append, "still building", lambda: now[0])
    for now[0] in (105.0, 110.0, 129.0, 130.0, 169.0, 170.0):
        silence.broken()
    assert said == ["... still building, 10 s", "... still building, 30 s", "... still building, 70 s"]
    silence.ended()
    assert silence.patience() == 10.0
    now[0] = 181.0
    silence.broken()
    assert said[-1] == "... still building, 81 s"
    assert silence.patience() == 20.0


def test_lines_are_said_while_the_caller_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FIRST", 0.01)
    heard = threading.Event()
    with told(lambda line: heard.set(), "still waiting"):
        assert heard.wait(10)


def test_work_that_ends_soon_says_nothing() -> None:
    said: list[str] = []
    with told(said.append, "still waiting"):
        pass
    assert said == []
