"""Discovery is looked at by whoever needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import ensure_discovery
from receiver.errors import ReceiverError
from receiver.home.paths import Home
from registry.errors import RegistryError


def test_one_that_runs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.discovery.daemon.pid", lambda _: 7)
    monkeypatch.setattr("registry.discovery.daemon.start", lambda *_: pytest.fail("it runs already"))
    ensure_discovery.ensure(Home(tmp_path), pytest.fail)


def test_one_that_does_not_come_up_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RegistryError("discovery ended with 1: etcd.json is damaged.", "See its log.")

    monkeypatch.setattr("registry.discovery.daemon.start", fail)
    with pytest.raises(ReceiverError, match=r"discovery, which tells .* etcd\.json is damaged") as caught:
        ensure_discovery.ensure(Home(tmp_path), print)
    assert "nap up" in caught.value.hint
