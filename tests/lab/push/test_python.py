"""Python's ranks: one that raises ends all of them, and a script finds what it expects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.nap_home import App

pytestmark = [pytest.mark.lab, pytest.mark.slow]

NewApp = Callable[..., App]
_MANIFEST = "from: heat.py\nhosts: 3\nargs: -n '1 2'\ntimeout: 90s\n"
# The others wait at the barrier for the rank that raises.
_HEAT = """\
import pickle
import sys
from mpi4py import MPI

class Grid:
    pass

if __name__ == "__main__":
    assert sys.argv == ["heat.py", "-n", "1 2"], sys.argv
    assert sys.path[0].endswith("app"), sys.path
    assert type(MPI.COMM_WORLD.bcast(Grid())) is Grid
    import beside
    if MPI.COMM_WORLD.Get_rank() == 1:
        raise ValueError(f"the grid {beside.NAME} is empty")
    MPI.COMM_WORLD.Barrier()
"""
_FILES = {"mpi.xml": _MANIFEST, "heat.py": _HEAT, "beside.py": "NAME = 'of heat'\n"}


def one_that_raises_ends_all(app: App) -> None:
    ran = app.push()
    assert "python3 -m mpi4py heat.py -n '1 2'" in ran.out
    assert "ValueError: the grid of heat is empty" in ran.out
    assert "AssertionError" not in ran.out
    assert "Errorcode: 1\n" in ran.out
    # A rank that lost its connection to the one that raised aborts too, and Open MPI 5 may tell its code: 14.
    codes = (1, 14) if "Socket closed" in ran.out else (1,)
    assert app.runs()[-1]["state"] == "failed", ran.out
    assert app.runs()[-1]["exit_code"] in codes, ran.out


def test_a_rank_that_raises_ends_all_of_them(new_app: NewApp) -> None:
    app = new_app(_FILES)
    one_that_raises_ends_all(app)
    app.commit({"heat.py": _HEAT.replace("== 1", "== 5").replace("Barrier()", "Barrier(); sys.exit(0)")})
    ran = app.push("strict")
    assert ran.code == 0, ran.out


def test_a_rank_that_raises_ends_all_of_them_in_containers(new_containers_app: NewApp) -> None:
    one_that_raises_ends_all(new_containers_app(_FILES))
