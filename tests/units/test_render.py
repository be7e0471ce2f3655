"""Unit files of whole jobs, compared with `tests/golden/<engine>`.

To write these files anew, and then look at what has changed:
`NAP_GOLDEN=write python -m pytest tests/units/test_render.py`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.engines import (
    ENGINE,
    ENGINES,
    ENV,
    JOBS,
)

from units.capsule.kinds import Namespaces
from units.job import Job, UnitFile
from units.launching import Machine
from units.local import engine as local
from units.local.engine import LocalEngine
from units.render import render

GOLDEN = Path(__file__).parents[1] / "golden"
def rendered(engine: str, job: Job) -> str:
    """All of a job's files as one text; nap's own folder is not the same everywhere."""
    units = {unit.name: json.loads(unit.content) for unit in ENGINES[engine].units(job)}
    here = str(Path(local.__file__).parent)
    return json.dumps(units, indent=1, ensure_ascii=False).replace(here, "{units/local}") + "\n"


WHOLE = [(engine, name) for engine in ENGINES for name in JOBS if (engine, name) != ("local", "own-image")]


@pytest.mark.parametrize(("engine", "name"), WHOLE)
def test_a_whole_job_is_rendered_as_it_always_was(engine: str, name: str) -> None:
    path = GOLDEN / engine / f"{name}.json"
    if os.environ.get("NAP_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(engine, JOBS[name]))
    assert rendered(engine, JOBS[name]) == path.read_text()


@pytest.mark.parametrize("name", JOBS)
def test_the_same_job_gives_the_same_bytes(name: str) -> None:
    again = LocalEngine(Path("/home/me/.nap"), Machine(2, False, ("eth0",)), Namespaces())
    assert again.units(JOBS[name]) == ENGINE.units(JOBS[name])


def test_the_order_in_which_variables_were_given_is_no_matter() -> None:
    turned = replace(JOBS["mpi"], env=tuple(reversed(ENV)))
    assert ENGINE.units(turned) == ENGINE.units(JOBS["mpi"])


def test_what_is_quoted_in_a_unit_is_json() -> None:
    master = next(unit for unit in ENGINE.units(JOBS["mpi"]) if unit.name == "master_hello")
    assert json.loads(master.content)["argv"][-2:] == ['a "b" ü', "{run}/share/x"]


def test_a_value_that_was_forgotten_is_an_error() -> None:
    with pytest.raises(TypeError, match="StrictUndefined"):
        render("x", "templates/discovery.json.j2", {"name": "x", "announces": "y", "value": "z"})


def test_rendering_writes_nothing(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "home", Machine(2, False, ()), Namespaces())
    assert all(isinstance(unit, UnitFile) for unit in engine.units(JOBS["profile"]))
    assert list(tmp_path.iterdir()) == []
