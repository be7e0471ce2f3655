"""Every example is pushed, and its own `verify` looks at what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.nap_home import DEBIAN_MAVEN, EXAMPLES, NapHome

NAMES = sorted(path.name for path in EXAMPLES.iterdir() if (path / "verify").exists())
# No wheel has a Fortran compiler wrapper.
ON_WHEELS = [name for name in NAMES if name != "fortran"]
ON_THE_MACHINE = ("hello", "heat", "mpi4py", "script", "fortran", "mpich", "cxx")

OVER_NODES = ("hello", "heat", "mpich", "maven")


def missing(name: str) -> str:
    """What this machine lacks for an example; .ci/run installs all of it."""
    tools = {"maven": ("mvn", "java"), "cxx": ("c++",)}.get(name, ("cc",))
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if name == "maven" and not DEBIAN_MAVEN.exists():
        absent.append("maven-debian-helper")
    return f"the example {name} needs {', '.join(absent)}" if absent else ""


@pytest.mark.lab
@pytest.mark.parametrize("name", ON_WHEELS)
def test_an_example_runs_and_its_verify_agrees(name: str, home: NapHome, tmp_path: Path) -> None:
    if why := missing(name):
        pytest.skip(why)
    push_and_verify(name, home, tmp_path)


@pytest.mark.lab
@pytest.mark.parametrize("name", ON_THE_MACHINE)
def test_an_example_runs_on_the_machines_own_mpi(name: str, machine_home: NapHome, tmp_path: Path) -> None:
    push_and_verify(name, machine_home, tmp_path)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_in_containers(name: str, containers_home: NapHome, tmp_path: Path) -> None:
    push_and_verify(name, containers_home, tmp_path)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", OVER_NODES)
def test_an_example_runs_over_nodes(name: str, nodes_home: NapHome, tmp_path: Path) -> None:
    push_and_verify(name, nodes_home, tmp_path)


def push_and_verify(name: str, home: NapHome, folder: Path) -> None:
    app = home.example(name, folder / name)
    pushed = app.push(within=300)
    assert pushed.code == 0, pushed.out
    run = app.runs()[-1]
    assert run["state"] == ("running" if name == "profile-web" else "succeeded"), pushed.out
    home.nap("results", name, "--to", str(folder / "results"))
    port = home.json("config", name).get("port", "")
    verify = subprocess.run(
        [str(app.tree / "verify")],
        input=app.logs(),
        env={**os.environ, "NAP_RESULTS": str(folder / "results"), "NAP_URL": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert verify.returncode == 0, f"{verify.stderr}\n{pushed.out}"
    home.nap("destroy", name, "--yes")
