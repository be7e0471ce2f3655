"""docs/security.md names for each of its sentences the tests that attack it: they are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
TEST = re.compile(r"`((?:tests/)?[\w/]+\.py)::(\w+)`")


def names(path: Path) -> Iterator[str]:
    """Of the tests in a file, also of those in classes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def test_each_test_that_the_page_names_is_there() -> None:
    named = TEST.findall(PAGE.read_text())
    assert len(named) > 50
    there = {path: set(names(PAGE.parents[1] / path)) for path, _ in named}
    assert [f"{path}::{name}" for path, name in named if name not in there[path]] == []


def test_each_guarantee_has_a_test() -> None:
    """A line of a table that promises something ends with a test of it."""
    promises = PAGE.read_text().partition("## What is promised")[2].partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert len(rows) > 20
    assert [row for row in rows if not TEST.search(row.split("|")[2])] == []
