"""Whole jobs as compose files, compared with `tests/golden/compose`, and read by docker-compose itself.

To write these files anew, and then look at what has changed:
`NAP_GOLDEN=write python -m pytest tests/units/test_compose.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from units import compose, names, quoting
from units.errors import UnitError
from units.job import Job, Mpi, Process

GOLDEN = Path(__file__).parents[1] / "golden" / "compose"
ODD = ('q"uo', "si'ngle", "a  b", "100%", "$HOME", "${HOME}", "$$", "ü😀", "\\", "")
JOB = Job(
    app="hello", run=3, release=7, prefix="", image=f"127.0.0.1:5000/hello_image@sha256:{'0' * 64}",
    tree=None, stack="openmpi", env=(("LANG", "C.UTF-8"), ("DATA", "{app}/data")),
)  # fmt: skip
JOBS = {
    "even": replace(
        JOB,
        slaves=names.slaves("hello", 3, (1, 1, 1, 1)),
        mpi=Mpi(
            "openmpi5",
            4,
            ("./hello", *ODD),
            options=("--map-by", "node"),
            env=(("NO", "$NAP_SHARE/1\n2"),),
        ),
    ),
    "uneven": replace(
        JOB,
        slaves=tuple(replace(s, memory=1 << 29) for s in names.slaves("hello", 3, (3, 2))),
        mpi=Mpi("mpich", 5, script=("sh", "-ec", "mpirun ./a\nmpirun ./b")),
        timeout=90,
    ),
    "one": replace(JOB, slaves=names.slaves("hello", 3, (2,)), mpi=Mpi("openmpi4", 2, ("./hello",))),
    "services": replace(
        JOB,
        service=True,
        processes=(
            Process("web", ("sh", "-c", 'exec ./serve --on "$PORT"'), 5001),
            Process("on", ("sh", "-c", "exec ./work")),
        ),
    ),
    "image": replace(JOB, processes=(Process("app", ()),), timeout=90),
}


def content(job: Job) -> str:
    (file,) = compose.units(job)
    assert file.name == "compose.yaml"
    return file.content


def understood(job: Job, folder: Path) -> Any:
    """What docker-compose makes of it."""
    if shutil.which("docker-compose") is None:
        pytest.skip("this needs: apt-get install docker-compose")
    (folder / "compose.yaml").write_text(content(job))
    done = subprocess.run(
        ["docker-compose", "config"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return yaml.safe_load(done.stdout)["services"]


@pytest.mark.parametrize("name", JOBS)
def test_a_whole_job_is_exported_as_it_always_was(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("NAP_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content(JOBS[name]))
    assert content(JOBS[name]) == path.read_text()


def test_the_order_in_which_variables_were_given_is_no_matter() -> None:
    turned = replace(JOBS["even"], env=tuple(reversed(JOB.env)))
    assert content(turned) == content(JOBS["even"])


@pytest.mark.parametrize("name", JOBS)
def test_docker_compose_accepts_it(name: str, tmp_path: Path) -> None:
    services = understood(JOBS[name], tmp_path)
    assert all(service["image"] == JOB.image for service in services.values())


def test_docker_compose_reads_the_words_that_were_given(tmp_path: Path) -> None:
    read = understood(JOBS["even"], tmp_path)["master"]
    words = [word.replace("$$", "$") for word in read["command"]]
    assert words == ["mpirun", "--map-by", "node", "./hello", *ODD]
    assert read["environment"]["NO"] == "/share/1\n2"


def test_there_are_as_many_slaves_as_were_pushed(tmp_path: Path) -> None:
    assert understood(JOBS["even"], tmp_path)["slave"]["deploy"] == {"replicas": 4}


def test_the_memory_a_slave_gets_is_what_its_manifest_says(tmp_path: Path) -> None:
    slave = understood(JOBS["uneven"], tmp_path)["slave"]
    assert (int(slave["mem_limit"]), int(slave["memswap_limit"])) == (1 << 29, 1 << 29)


def test_a_web_process_is_published_and_told_its_port(tmp_path: Path) -> None:
    services = understood(JOBS["services"], tmp_path)
    assert services["web"]["ports"] == [{"published": 5001, "target": 5001}]
    assert services["web"]["environment"]["PORT"] == "5001"
    assert "ports" not in services["on"]


def test_an_image_that_no_container_can_be_made_of_is_refused() -> None:
    with pytest.raises(UnitError, match="hello v7 is not an image of containers") as refused:
        compose.units(replace(JOBS["even"], image="sha256:0"))
    assert "nap up --engine containers" in refused.value.hint


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_survives_the_quoting(text: str) -> None:
    assert yaml.safe_load(quoting.yaml(text)) == text
    assert yaml.safe_load(quoting.compose(text)) == text.replace("$", "$$")


@pytest.mark.parametrize("name", ["NO", "y", "a", "a b", "1", "", "A-b"])
def test_a_key_is_read_as_the_name_it_is(name: str) -> None:
    assert yaml.safe_load(f"{quoting.key(name)}: 1") == {name: 1}
