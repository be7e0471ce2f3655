"""What a run keeps, by a real push: whatever a program calls its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nap_home import App, NapHome

pytestmark = pytest.mark.lab

SCRIPT = """\
mkdir -p out/deep $NAP_SHARE/a
echo 1 >"out/deep/two words: 2026:11.csv"
printf x >"$(printf 'out/caf\\351.csv')"
printf x >"$(printf 'out/new\\nline.csv')"
printf x >$NAP_SHARE/a/y.csv
"""
MANIFEST = 'run: sh make.sh\nhosts: 2\nresults: [out/, "**/*.csv"]\n'
KEPT = {
    b"share/a/y.csv",
    b"slave1/out/deep/two words: 2026:11.csv",
    b"slave1/out/caf\xe9.csv",
    b"slave1/out/new\nline.csv",
}


def test_files_are_kept_under_the_names_a_program_gave_them(
    home: NapHome, new_app: Callable[..., App], tmp_path: Path
) -> None:
    app = new_app({"make.sh": SCRIPT, "mpi.xml": MANIFEST})
    pushed = app.push()
    assert app.wait() == 0, pushed.out
    assert {os.fsencode(entry["name"]) for entry in home.json("results", app.name)} == KEPT
    listed = home.nap("results", app.name)
    assert len(listed.out.splitlines()) == 1 + len(KEPT), listed
    home.nap("results", app.name, "--to", str(tmp_path / "got"))
    got = [path for path in (tmp_path / "got").rglob("*") if path.is_file()]
    assert {os.fsencode(path.relative_to(tmp_path / "got")) for path in got} == KEPT


def test_the_launchers_remarks_to_itself_are_no_output_of_the_program(new_app: Callable[..., App]) -> None:
    script = "bash -c 'echo a remark >&'$PMIX_OUTPUT_STDERR_FD; echo for people >&2; echo the result\n"
    app = new_app({"say.sh": script, "mpi.xml": "run: sh say.sh\nhosts: 1\n"})
    assert app.push().code == 0
    assert "a remark" not in app.logs()
    assert "for people\nthe result\n" in app.logs()
    assert "a remark\n" in (app.home.root / "runs" / app.name / "1" / "units.log").read_text()
