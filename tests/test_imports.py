"""Who imports whom: the map in docs/architecture.md."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from receiver import engine_choice

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


@pytest.fixture(scope="module")
def needs() -> dict[str, set[str]]:
    """Of each module the modules that it imports."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    ours = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    assert len(ours) > 100
    return {name: modules(path) & ours.keys() for name, path in ours.items()}


def test_no_modules_need_each_other_in_a_circle(needs: dict[str, set[str]]) -> None:
    TopologicalSorter(needs).prepare()


def folder(module: str) -> str:
    """What a module is in; those beside a package's folders stand for themselves."""
    parts = module.split(".")
    return module if len(parts) == 2 else ".".join(parts[:-1])


def test_no_folders_need_each_other_in_a_circle(needs: dict[str, set[str]]) -> None:
    between: dict[str, set[str]] = {}
    for module, others in needs.items():
        between.setdefault(folder(module), set()).update(folder(other) for other in others)
    TopologicalSorter({one: others - {one} for one, others in between.items()}).prepare()


@pytest.mark.parametrize("shared", ["oci", "placement", "capsule", "nodes", "node_runs"])
def test_what_engines_stand_on_imports_none_of_them(shared: str, needs: dict[str, set[str]]) -> None:
    engines = tuple(f"units.{name}." for name in engine_choice.NAMES)
    own = [others for module, others in needs.items() if module.startswith(f"units.{shared}.")]
    assert own
    assert [other for others in own for other in others if other.startswith(engines)] == []


@pytest.mark.parametrize("package", ["buildpacks", "units", "registry"])
def test_a_package_below_the_receiver_imports_no_other(package: str) -> None:
    others = set(PACKAGES) - {package}
    files = list((ROOT / package).rglob("*.py"))
    assert files
    assert {str(file): imported(file) & others for file in files if imported(file) & others} == {}


def folders() -> list[str]:
    found = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return sorted(str(path.relative_to(ROOT)) for path in found if "examples" not in path.parts)


@pytest.mark.parametrize("folder", folders())
def test_a_folder_says_what_comes_in_and_what_goes_out(folder: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text()))
    assert docstring
    for word in ("in", "out", "touched"):
        assert re.search(rf"\b{word}\b", docstring, re.IGNORECASE)
