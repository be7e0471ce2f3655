"""The files that pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
# `units/NAME/engine.py` and the like stand for many; what is made by a run or a build is in no checkout.
_FILE = re.compile(r"`([\w./-]+\.(?:py|sh|j2|c|yaml|md))`")
_OF_USERS = {"random.py"}
_TOPS = ("receiver", "buildpacks", "units", "registry", "tests", "bench", "docs", "examples")


def named(page: Path) -> set[str]:
    """The files of this repository that a page names, with their folders or without."""
    found = set(_FILE.findall(page.read_text()))
    ours = {name for name in found if "/" not in name or name.split("/")[0] in _TOPS}
    return {name for name in ours - _OF_USERS if "NAME" not in name}


def is_there(name: str, page: Path) -> bool:
    places = (ROOT, page.parent)
    if "/" in name:
        return any((place / name).exists() for place in places)
    return any(path for top in _TOPS for path in (ROOT / top).rglob(name)) or (ROOT / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_no_file_that_is_not_there(page: Path) -> None:
    assert [name for name in sorted(named(page)) if not is_there(name, page)] == []
