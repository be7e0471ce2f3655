"""Who imports whom: the map in docs/architecture.md."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("receiver", "buildpacks", "units", "registry")


def imported(path: Path) -> set[str]:
    """The top-level names a file imports, also inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def modules(path: Path) -> set[str]:
    """The modules, and the names that may be modules, that a file imports, also inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_modules_need_each_other_in_a_circle() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    ours = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    needs = {name: modules(path) & ours.keys() for name, path in ours.items()}
    assert len(needs) > 100
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("package", ["buildpacks", "units", "registry"])
def test_a_package_below_the_receiver_imports_no_other(package: str) -> None:
    others = set(PACKAGES) - {package}
    files = list((ROOT / package).rglob("*.py"))
    assert files
    assert {str(file): imported(file) & others for file in files if imported(file) & others} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_comes_in_and_what_goes_out(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text()))
    assert docstring
    assert "in" in docstring
    assert "touched" in docstring
