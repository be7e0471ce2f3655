"""Commands whose output is handed over line by line, with an end to every wait."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.runs.cancellation import Cancellation
from receiver.text import heartbeat
from receiver.text.output import Command, Limits, stream
from units.job import Outcome

PATIENCE = 20.0
Run = Callable[..., int]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture
def run(tmp_path: Path, said: list[str], cancellation: Cancellation) -> Run:
    def call(program: str, seconds: float = PATIENCE, say: Callable[[str], None] = said.append) -> int:
        argv = [sys.executable, "-c", program]
        limits = Limits.of(seconds, cancellation.descriptor)
        return stream(Command(argv, tmp_path, dict(os.environ)), say, limits)

    return call


def test_lines_come_whole_and_the_exit_code_with_them(run: Run, said: list[str]) -> None:
    program = "import sys; print('one'); print('two', file=sys.stderr, flush=True); sys.exit(3)"
    assert run(program) == 3
    assert sorted(said) == ["one", "two"]


def test_a_last_line_without_an_end_is_a_line(run: Run, said: list[str]) -> None:
    run("import os; os.write(1, b'a\\r\\n\\nb\\xff')")
    assert said == ["a", "", "b\ufffd"]


def test_a_line_that_does_not_end_is_handed_over_in_parts(run: Run, said: list[str]) -> None:
    assert run("import sys; sys.stdout.write('x' * 1_000_000)") == 0
    assert "".join(said) == "x" * 1_000_000
    assert max(map(len, said)) < 1 << 18


def test_what_takes_too_long_is_killed_and_said(run: Run, said: list[str]) -> None:
    with pytest.raises(ReceiverError, match="the build took longer than it may") as caught:
        run("import os, time; print(os.getpid(), flush=True); time.sleep(1000)", seconds=0.5)
    assert "build_timeout" in caught.value.hint
    assert not said or not Path(f"/proc/{said[0]}").exists()


def test_what_nobody_wants_any_more_is_killed(run: Run, said: list[str], cancellation: Cancellation) -> None:
    def give_up(line: str) -> None:
        said.append(line)
        cancellation.cancel(Outcome(130))

    with pytest.raises(ReceiverError, match="the build was cancelled"):
        run("import os, time; print(os.getpid(), flush=True); time.sleep(1000)", say=give_up)
    assert not Path(f"/proc/{said[0]}").exists()


def test_what_is_given_up_may_clean_up_after_itself_first(tmp_path: Path, cancellation: Cancellation) -> None:
    program = "trap 'sleep 0.2; touch cleaned; exit' TERM; echo up; while :; do sleep 0.01; done"

    def give_up(_line: str) -> None:
        cancellation.cancel(Outcome(130))

    with pytest.raises(ReceiverError, match="cancelled"):
        stream(
            Command(["sh", "-c", program], tmp_path, dict(os.environ)),
            give_up,
            Limits.of(PATIENCE, cancellation.descriptor),
            patience=PATIENCE,
        )
    assert (tmp_path / "cleaned").exists()


def test_silent_work_shows_that_it_goes_on(
    run: Run, said: list[str], cancellation: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "FIRST", 0.01)

    def end_after_two(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            cancellation.cancel(Outcome(130))

    with pytest.raises(ReceiverError, match="cancelled"):
        run("import time; time.sleep(1000)", say=end_after_two)
    assert all(line.startswith("... still building") for line in said)


def test_a_program_that_is_not_there_is_an_error_of_the_system(
    tmp_path: Path, cancellation: Cancellation
) -> None:
    with pytest.raises(FileNotFoundError):
        stream(Command(["/not/there"], tmp_path, {}), print, Limits.of(PATIENCE, cancellation.descriptor))
