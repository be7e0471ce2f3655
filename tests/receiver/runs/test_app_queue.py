"""Turns: one run of an app at a time, in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from receiver.runs.app_queue import Turns

PATIENCE = 20


@pytest.fixture
def turns() -> Turns:
    made = Turns()
    for number in (1, 2, 3):
        made.enter("hello", number)
    return made


def waiting(turns: Turns, number: int, cancelled: Callable[[], bool] = lambda: False) -> threading.Thread:
    thread = threading.Thread(target=turns.wait, args=("hello", number, cancelled, PATIENCE), daemon=True)
    thread.start()
    return thread


def has_its_turn(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_the_first_has_its_turn_at_once(turns: Turns) -> None:
    assert has_its_turn(waiting(turns, 1))
    assert turns.before("hello", 3) == [1, 2]


def test_the_next_goes_when_the_first_leaves(turns: Turns) -> None:
    second = waiting(turns, 2)
    assert second.is_alive()
    turns.leave("hello", 1)
    assert has_its_turn(second)


def test_one_that_leaves_out_of_turn_holds_nobody_up(turns: Turns) -> None:
    third = waiting(turns, 3)
    turns.leave("hello", 2)
    assert third.is_alive()
    turns.leave("hello", 1)
    assert has_its_turn(third)


def test_one_that_is_cancelled_need_not_wait(turns: Turns) -> None:
    cancelled = threading.Event()
    third = waiting(turns, 3, cancelled.is_set)
    assert third.is_alive()
    cancelled.set()
    turns.wake()
    assert has_its_turn(third)


def test_apps_have_lines_of_their_own(turns: Turns) -> None:
    turns.enter("other", 9)
    assert turns.before("other", 9) == []


def test_leaving_twice_does_no_harm(turns: Turns) -> None:
    turns.leave("hello", 1)
    turns.leave("hello", 1)
    turns.leave("nobody", 1)
    assert turns.before("hello", 3) == [2]
    assert turns.before("hello", 1) == []


def test_waiting_for_a_turn_has_an_end(turns: Turns) -> None:
    assert turns.wait("hello", 2, lambda: False, 0.0) is False
    turns.leave("hello", 1)
    assert turns.wait("hello", 2, lambda: False, 0.0) is True
