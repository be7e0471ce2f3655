"""Silent work shows a line at 10 s, then at doubling intervals."""

from __future__ import annotations

from receiver.silence import Silence


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
