"""Packages that a plan needs have to be on the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildpacks.errors import BuildpackError
from buildpacks.stacks import packages


@pytest.fixture
def dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dpkg-query that knows libfftw3-dev."""
    tool = tmp_path / "dpkg-query"
    tool.write_text('#!/bin/sh\n[ "$4" = libfftw3-dev ] && echo "install ok installed"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_what_is_installed_is_not_asked_for(dpkg: None) -> None:
    packages.check(("libfftw3-dev",))


def test_what_is_missing_is_named_with_the_line_that_installs_it(dpkg: None) -> None:
    with pytest.raises(BuildpackError) as refused:
        packages.check(("libfftw3-dev", "libmetis-dev", "libhdf5-dev"))
    assert "libmetis-dev, libhdf5-dev, which are not installed" in refused.value.message
    assert refused.value.hint.endswith("apt-get install libmetis-dev libhdf5-dev")


def test_a_machine_without_dpkg_is_taken_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    packages.check(("libfftw3-dev",))
