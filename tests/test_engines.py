"""What an engine costs: a folder in units/, a file in receiver/engines/, a line of a table, and no more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import engine_choice
from units import engine

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("receiver", "buildpacks", "units", "registry")
# The same words for something else: the program on a node, a filter of templates, a shell's own word, and
# the settings of containers, which all engines with images have.
MEANS_ANOTHER_THING = {
    ("receiver/nodes/facts.py", "systemd"),
    ("receiver/nodes/membership/node_checks.py", "systemd"),
    ("units/render.py", "systemd"),
    ("buildpacks/packs/commands.py", "local"),
    ("receiver/home/settings.py", "containers"),
}


def others() -> Iterator[tuple[str, ast.Module]]:
    """All modules that are of no engine."""
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        engines = ("receiver/engines/", *(f"units/{engine}/" for engine in engine_choice.NAMES))
        if not name.startswith(engines) and name != "receiver/engine_choice.py":
            yield name, ast.parse(path.read_text())


def named_in(module: ast.Module) -> Iterator[str]:
    """The engines whose name is a text in it, or whose folder it imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and node.value in engine_choice.NAMES:
            yield str(node.value)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("units"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (name.split(".")[1] for name in names if name.split(".")[1] in engine_choice.NAMES)


def test_no_file_names_an_engine_but_its_own_and_the_table() -> None:
    found = {(name, engine) for name, module in others() for engine in named_in(module)}
    assert found == MEANS_ANOTHER_THING


@pytest.mark.parametrize("name", engine_choice.NAMES)
def test_an_engine_is_its_folder_and_one_file(name: str) -> None:
    assert (ROOT / "units" / name / "engine.py").is_file()
    assert (ROOT / "receiver" / "engines" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", engine_choice.NAMES)
def test_every_engine_answers_to_the_whole_contract(name: str) -> None:
    made = engine_choice.support(name).engine
    assert issubclass(made, engine.Engine)
    assert not made.__abstractmethods__
    assert (made.name, bool(made.hostfile)) == (name, True)
