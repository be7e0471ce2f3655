"""A unit's last word, as its script on the node says it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from units.job import Outcome
from units.node_runs.tail import Ended, Followed, Whole, last
from units.nodes import scripts


class Here:
    """A link to a node that is this machine."""

    def run(self, argv: tuple[str, ...]) -> Any:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=30)
        return SimpleNamespace(code=done.returncode, out=done.stdout)


@pytest.fixture
def unit(tmp_path: Path) -> Followed:
    (tmp_path / "last").write_text(scripts.texts("last")["last"])
    (tmp_path / "output").write_text("all of it\n")
    (tmp_path / "kept").write_text("all ")
    link: Any = Here()
    return Followed(link, str(tmp_path), "unit", Whole(tmp_path / "kept"))


def test_an_end_is_told_with_its_moment_by_this_machines_clock(unit: Followed, tmp_path: Path) -> None:
    (tmp_path / "ended").write_text("exit-code exited 3\n")
    moment = time.time() - 60
    os.utime(tmp_path / "ended", (moment, moment))
    ended = last(unit)
    assert ended is not None
    assert (ended.result, ended.how, ended.status) == ("exit-code", "exited", "3")
    # The script's own time goes by between its clock and ours.
    assert moment <= ended.moment < moment + 30
    told = ended.outcome(None, "node1")
    assert (told, told.ended) == (Outcome(3), ended.moment)
    assert (tmp_path / "kept").read_text() == "all of it\n"


def test_a_unit_that_goes_on_has_no_end(unit: Followed, tmp_path: Path) -> None:
    assert last(unit) is None
    assert (tmp_path / "kept").read_text() == "all of it\n"


def test_a_script_of_an_older_nap_tells_no_moment(unit: Followed, tmp_path: Path) -> None:
    older = 'cd "$(dirname "$0")"\nhead -n 1 ended\ntail -c "+$(($1 + 1))" output\n'
    (tmp_path / "last").write_text(older)
    (tmp_path / "ended").write_text("signal killed KILL\n")
    assert last(unit) == Ended("signal", "killed", "KILL")
