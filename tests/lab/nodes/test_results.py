"""What is seen of a run over nodes, and what it leaves: its results come from every node, by a real push."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nap_home import App, wait_for

from receiver.home.paths import Home

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]
NewApp = Callable[..., App]

EACH = """\
me=$(hostname)
mkdir -p out/deep "$NAP_SHARE/all"
echo "$me" >"out/deep/two words: $me.csv"
echo "$me" >"$NAP_SHARE/all/$me.csv"
echo "$me" >"$NAP_SHARE/same.csv"
echo "$me" >"$NAP_SHARE/left.txt"
"""
# As many slots as a node has: a slave on each.
MANIFEST = f"""\
run: {{run}}
hosts: 3
slots: {len(os.sched_getaffinity(0))}
results: [out/, "**/*.csv"]
"""
MPIRUN = "mpirun --map-by ppr:1:node -np 3 sh each.sh"


def kept(app: App) -> dict[str, str]:
    """The results of the app's latest run by name, with what is in them."""
    return {entry["name"]: Path(entry["path"]).read_text() for entry in app.home.json("results", app.name)}


def wanted(app: App) -> dict[str, str]:
    slaves = {index: f"{app.name}-slave{index}" for index in (1, 2, 3)}
    own = {f"slave{index}/out/deep/two words: {slave}.csv": f"{slave}\n" for index, slave in slaves.items()}
    return own | {f"share/all/{slave}.csv": f"{slave}\n" for slave in slaves.values()}


def units(app: App) -> dict[str, tuple[str, str]]:
    """What `nap ps` says of the app's only run, without the home in names: where each unit is, and how."""
    (run,) = (value for value in app.home.json("ps") if value["app"] == app.name)
    prefix = f"{Home(app.home.root).id}_"
    return {unit["name"].removeprefix(prefix): (unit["address"], unit["state"]) for unit in run["units"]}


def test_results_come_from_every_node_and_the_masters_goes_first(new_nodes_app: NewApp) -> None:
    app = new_nodes_app({"each.sh": EACH, "mpi.xml": MANIFEST.format(run=MPIRUN)})
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert kept(app) == wanted(app) | {"share/same.csv": f"{app.name}-slave1\n"}
    left_out = [line.strip() for line in pushed.out.splitlines() if "was left out" in line]
    assert left_out == [
        f"results: same.csv in /share on node{number} was left out, node1 has one too" for number in (2, 3)
    ]


def test_a_run_is_listed_by_node_and_when_cancelled_leaves_its_results_too(new_nodes_app: NewApp) -> None:
    run = f"{MPIRUN}; echo $((40 + 2)) written; sleep 600"
    app = new_nodes_app({"each.sh": EACH, "mpi.xml": MANIFEST.format(run=run)})
    push = app.start_push()
    wait_for(push.stderr, "42 written")
    assert units(app) == {
        **{f"slaves_{app.name}@{index}": (f"node{index}", "alive") for index in (1, 2, 3)},
        f"master_{app.name}": ("node1", "alive"),
    }
    assert app.home.nap("cancel", app.name).code == 0
    push.communicate(timeout=60)
    assert kept(app).keys() == wanted(app).keys() | {"share/same.csv"}
