"""The daemon's log on a disk that is full."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from receiver.daemon import log
from registry.discovery import daemon as discovery


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a file that could not be written fails too: this one is left to the end of the process."""
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", closefd=False)
    monkeypatch.setattr(sys, "stderr", full)
    discovery._say("this is lost")
    log.take_over()
    print("this is lost", file=sys.stderr, flush=True)
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_what_can_be_written_is_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w") as file, monkeypatch.context() as daemon:
        daemon.setattr(sys, "stderr", file)
        log.take_over()
        print("this is kept", file=sys.stderr)
        assert (tmp_path / "log").read_text() == "this is kept\n"
        assert sys.stderr.fileno() == file.fileno()
