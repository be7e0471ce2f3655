"""Dockerfiles of whole plans, compared with `tests/golden/dockerfiles`.

After a change that is meant, write them anew with
`NAP_GOLDEN=write python -m pytest tests/buildpacks/test_image_text.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.plans import PLANS, STACK

from buildpacks import image_text
from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan

GOLDEN = Path(__file__).parents[1] / "golden" / "dockerfiles"
@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_the_golden_dockerfile(name: str) -> None:
    text = image_text.dockerfile(PLANS[name], STACK, 1000, settled=name == "python")
    path = GOLDEN / f"{name}.Dockerfile"
    if os.environ.get("NAP_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_another_user_owns_and_runs_it() -> None:
    text = image_text.dockerfile(PLANS["mpi"], STACK, 501, settled=False)
    assert "USER 501:501\n" in text
    assert "COPY --chown=501:501 program/ /\n" in text


def test_a_variable_of_several_lines_is_refused() -> None:
    plan = Plan("lua", "", "plain", env=(("TEXT", "one\ntwo"),))
    with pytest.raises(BuildpackError, match="line break in it: one"):
        image_text.dockerfile(plan, STACK, 1000, settled=False)
