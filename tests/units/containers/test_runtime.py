"""Which runtime is taken, and what is said where none of them works."""

from __future__ import annotations

from pathlib import Path

import pytest

from units.errors import UnitError
from units.oci import runtime


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which nothing is but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(path: Path, kind: str, text: str) -> None:
    (path / kind).write_text(f"#!/bin/sh\n{text}\n")
    (path / kind).chmod(0o755)


AWAY = 'echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1'


def test_where_none_works_each_says_why(path: Path) -> None:
    put(path, "podman", 'echo "Error: no subuid ranges" >&2; exit 125')
    put(path, "docker", AWAY)
    with pytest.raises(UnitError) as told:
        runtime.find()
    assert "podman info: Error: no subuid ranges; docker version: Cannot connect" in told.value.message
    assert told.value.hint.startswith("start Docker's daemon")


def test_the_second_is_taken_where_the_first_does_not_work(path: Path) -> None:
    put(path, "podman", "exit 125")
    put(path, "docker", "echo 28.2.2")
    assert runtime.find().kind == "docker"
