"""Requests to nodes: each has an end, and none waits for another one's."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from paramiko import SSHException
from support.jobs.nodes import ONE

from units.errors import UnitError
from units.node_runs import download
from units.nodes import link as module
from units.nodes.link import AT_A_TIME, Link, Links


class Cut:
    """A channel on which everything has come but the exit code, which never does."""

    def __init__(self) -> None:
        self.status_event = threading.Event()
        self.closed = False

    def sendall(self, data: bytes) -> None:
        pass

    def shutdown_write(self) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return b""

    recv_stderr = recv

    def recv_exit_status(self) -> int:
        raise AssertionError("it waits without an end")

    def close(self) -> None:
        self.closed = True


class ToCut(Link):
    def __init__(self) -> None:
        super().__init__(ONE.login, None)
        self.channel = Cut()

    def open(self, *_: Any) -> Any:
        return cast(Any, self.channel)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> ToCut:
    monkeypatch.setattr(module, "_MARGIN", 0)
    return ToCut()


def test_a_command_whose_exit_code_never_comes_did_not_answer(cut: ToCut) -> None:
    with pytest.raises(UnitError, match="did not answer within 0 s"):
        cut.run(("true",), within=0.01)
    assert cut.channel.closed


class Frozen(Cut):
    """A channel of a node that froze before it took the command: paramiko waits until it is closed."""

    def settimeout(self, seconds: float) -> None:
        pass

    def exec_command(self, command: str) -> None:
        assert self.status_event.wait(10), "nobody closes it"
        raise SSHException("Channel closed.")

    def close(self) -> None:
        self.status_event.set()


def test_a_node_that_freezes_before_it_takes_a_command_did_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MARGIN", 0)
    link = Link(ONE.login, None)
    monkeypatch.setattr(link, "_session", lambda _: Frozen())
    with pytest.raises(UnitError, match="did not answer within 0 s"):
        link.run(("true",), within=0.01)


class Opened:
    """A connection that is there, and a client of it."""

    is_connected = True

    def __init__(self) -> None:
        self.client = self

    def close(self) -> None:
        self.is_connected = False


def test_what_is_under_way_outlives_a_request_that_was_late(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link(ONE.login, None)
    monkeypatch.setattr(link, "_connected", Opened)
    clients = []
    for _ in range(5):
        clients.append(link._client(0))
        link.set_aside()
    assert [client.is_connected for client in clients] == [False, False, True, True, True]
    link.close()
    assert not any(client.is_connected for client in clients)


def test_files_whose_exit_code_never_comes_did_not_come(
    cut: ToCut, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "_SILENCE", 0.01)
    with pytest.raises(UnitError, match="did not answer within 0 s"):
        download.fetch(cut, ("tar",), tmp_path)
    assert cut.channel.closed


def test_who_asks_a_node_does_not_wait_for_those_that_fetch_an_image(tmp_path: Path) -> None:
    asked = Links(tmp_path / "key")
    many = [replace(ONE, name=f"node{number}") for number in range(1, AT_A_TIME + 1)]
    begun, fetched = threading.Barrier(AT_A_TIME + 1), threading.Event()

    got_there: list[bool] = []

    def fetch(*_: object) -> None:
        begun.wait(30)
        got_there.append(fetched.wait(30))

    fetching = threading.Thread(target=asked.each, args=(many, fetch))
    fetching.start()
    begun.wait(30)
    asked.each(many[:1], lambda *_: fetched.set())
    fetching.join()
    assert all(got_there)
