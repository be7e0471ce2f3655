"""What `nap up` looks at first, and what it does not advise."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.home.paths import Home
from receiver.push import preflight
from registry.errors import RegistryError


def test_a_home_that_is_sound_passes(tmp_path: Path) -> None:
    preflight.check(Home(tmp_path))


def test_a_machine_that_does_not_reach_itself_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(ReceiverError, match="does not reach itself") as caught:
        preflight.check(Home(tmp_path))
    assert "ip link set lo up" in caught.value.hint


@pytest.mark.parametrize("hint", ["Run: nap up", "nap up", "nap up (what runs, runs on)"])
def test_who_has_just_typed_nap_up_is_not_told_to(tmp_path: Path, hint: str) -> None:
    told = preflight.onward(RegistryError("etcd cannot be reached.", hint), Home(tmp_path))
    assert isinstance(told, ReceiverError)
    assert told.message == "etcd cannot be reached."
    assert told.hint.startswith(f"see {tmp_path}/log")
    assert "history stays" in told.hint


@pytest.mark.parametrize("error", [KeyError("x"), ReceiverError("so it is", "Remove it, then: nap up")])
def test_other_advice_stays(tmp_path: Path, error: Exception) -> None:
    assert preflight.onward(error, Home(tmp_path)) is error
